// Prints config/SETTINGS.md.
#include <iostream>

#include "config/load.h"

int main() { std::cout << pgsidecar::config::reference(); }
