# cmake -DNAMES="up;down" -DFILES="up.sql;down.sql" -DHEADER=proxy/ops/x.h -DNAMESPACE=ops::x -DTO=file.cpp
#       -P embed.cmake
# Writes each file, word for word, as the constant of its name that the header declares.
set(piece 15000)  # bytes of one string literal that every compiler takes
set(most 60000)   # of a constant, which may be several such literals
set(text "#include \"${HEADER}\"\n\nnamespace pgsidecar::${NAMESPACE} {\n")
foreach(name file IN ZIP_LISTS NAMES FILES)
  file(READ ${file} whole)
  string(LENGTH "${whole}" length)
  if(length GREATER most)
    message(FATAL_ERROR "${file} is too long for a constant of every compiler")
  endif()
  string(FIND "${whole}" ")text\"" at)
  if(NOT at EQUAL -1)
    message(FATAL_ERROR "${file} holds what ends a raw string literal")
  endif()
  string(APPEND text "const std::string_view ${name} =")
  set(at 0)
  while(at LESS length)
    string(SUBSTRING "${whole}" ${at} ${piece} part)
    string(APPEND text "\n    R\"text(${part})text\"")
    math(EXPR at "${at} + ${piece}")
  endwhile()
  string(APPEND text ";\n")
endforeach()
string(APPEND text "}  // namespace pgsidecar::${NAMESPACE}\n")
file(WRITE ${TO} "${text}")
