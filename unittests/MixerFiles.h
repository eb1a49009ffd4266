//===- MixerFiles.h - The operator library, for parameterised tests -----------------------------------*- C++ -*-===//

#ifndef RONDO_UNITTESTS_MIXERFILES_H
#define RONDO_UNITTESTS_MIXERFILES_H

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <string>
#include <vector>

/// The `.rondo` files of the library, sorted.
inline std::vector<std::string> mixerFiles() {
  std::vector<std::string> files;
  std::error_code error;
  for (llvm::sys::fs::directory_iterator it(RONDO_MIXERS, error), end; it != end && !error; it.increment(error))
    if (llvm::sys::path::extension(it->path()) == ".rondo")
      files.push_back(it->path());
  llvm::sort(files);
  return files;
}

#endif // RONDO_UNITTESTS_MIXERFILES_H
