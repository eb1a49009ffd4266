//===- Parser.h - Recursive descent over the tokens of a `.rondo` file --------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_FRONTEND_PARSER_H
#define RONDO_LIB_FRONTEND_PARSER_H

#include "AST.h"
#include <optional>

namespace rondo::frontend {

/// Parses a file: nothing after the first syntax error, which is reported.
std::optional<std::vector<Mixer>> parse(const Source &source);

} // namespace rondo::frontend

#endif // RONDO_LIB_FRONTEND_PARSER_H
