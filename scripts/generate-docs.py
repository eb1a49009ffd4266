#!/usr/bin/env python3
"""Writes docs/passes: one page a pass, and a list of them, from the descriptions in Passes.td.

    scripts/generate-docs.py            write the pages
    scripts/generate-docs.py --check    only say which pages differ; exit status 1 if any does
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "passes"
LLVM = pathlib.Path("/usr/lib/llvm-22")
GROUPS = {"Transforms": "From the token form to the chunk form", "Conversion": "From the chunk form to LLVM"}


def describe(group):
    """The passes of one Passes.td: {flag: (summary, page)}."""
    source = f"include/rondo/{group}/Passes.td"
    text = subprocess.run(
        [LLVM / "bin" / "mlir-tblgen", "-gen-pass-doc", f"-I{ROOT / 'include'}", f"-I{LLVM / 'include'}", ROOT / source],
        check=True, capture_output=True, text=True).stdout
    passes = {}
    for section in re.split(r"^### `-", text, flags=re.MULTILINE)[1:]:
        flag, rest = section.split("`", 1)
        summary, body = re.match(r"\s*_(.*)_\n(.*)", rest, re.DOTALL).groups()
        body = body.replace("#### Options", "## Options").replace("#### Statistics", "## Statistics")
        page = f"<!-- Written by scripts/generate-docs.py from {source}. -->\n\n# `{flag}`\n\n{summary}.\n\n{body.strip()}\n"
        passes[flag] = (summary, page)
    return passes


def pages():
    """Every page: {file name: text}."""
    result = {}
    index = "<!-- Written by scripts/generate-docs.py. -->\n\n# Passes\n"
    for group, title in GROUPS.items():
        index += f"\n## {title}\n\n| pass | |\n|---|---|\n"
        for flag, (summary, page) in sorted(describe(group).items()):
            result[f"{flag}.md"] = page
            index += f"| [`{flag}`]({flag}.md) | {summary} |\n"
    result["README.md"] = index
    return result


def main(arguments):
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    wanted = pages()
    present = {path.name: path.read_text() for path in PAGES.glob("*.md")}
    different = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    if arguments:
        for name in different:
            print(f"docs/passes/{name} differs from Passes.td; run scripts/generate-docs.py")
        return 1 if different else 0
    PAGES.mkdir(parents=True, exist_ok=True)
    for name in different:
        if name in wanted:
            (PAGES / name).write_text(wanted[name])
        else:
            (PAGES / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
