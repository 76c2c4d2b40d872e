#include "proxy/io/command_line.h"

namespace pgsidecar::io {

command_line::command_line(int argc, char** argv) : words_(argv, argv + argc) {}

}  // namespace pgsidecar::io
