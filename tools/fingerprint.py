"""Prints a hash over all files that git tracks or would: the tree that was tested."""

import hashlib

from tidy import ROOT, Tree


def main() -> None:
    """Hashes paths and contents."""
    digest = hashlib.sha256()
    for path in Tree.of_git(ROOT).paths:
        content = (ROOT / path).read_bytes()
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    print(digest.hexdigest())


if __name__ == "__main__":
    main()
