"""Vectors: several numbers in one register. Words for them, their LLVM, elementary functions,
masked access, copies, transposes, and the register tiles under every product. Knows no threads."""
