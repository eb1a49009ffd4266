//===- Lexer.h - Tokens of the `.rondo` language ------------------------------------------------------*- C++ -*-===//

#ifndef RONDO_LIB_FRONTEND_LEXER_H
#define RONDO_LIB_FRONTEND_LEXER_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/SMLoc.h"
#include <vector>

namespace rondo::frontend {

struct Token {
  enum Kind {
    /// The end of the text.
    End,
    /// A line break outside brackets, or `;`.
    Separator,
    Identifier,
    Number,
    /// A reserved word: mixer state let param const grouped inf.
    Keyword,
    /// An operator or bracket.
    Punctuation,
    /// A character that the language does not use.
    Unknown,
  };
  Kind kind;
  llvm::StringRef text;

  bool is(llvm::StringRef spelling) const { return (kind == Punctuation || kind == Keyword) && text == spelling; }
  llvm::SMRange range() const {
    return {llvm::SMLoc::getFromPointer(text.begin()), llvm::SMLoc::getFromPointer(text.end())};
  }
};

/// Splits `text` into tokens; the last one is `End`. Comments (`#` to the end of the line) are left out.
std::vector<Token> lex(llvm::StringRef text);

} // namespace rondo::frontend

#endif // RONDO_LIB_FRONTEND_LEXER_H
