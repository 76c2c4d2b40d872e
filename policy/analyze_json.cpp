// Boost.JSON's compiled half, once for the whole program: the headers alone are packaged for every
// platform that we build for. Whoever else uses Boost.JSON links this room or one above it.
#include <boost/json/src.hpp>
