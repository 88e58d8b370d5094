"""Random programs: minigrad against torch, and against itself.

    python -m tests.programs --seconds 60 --seed 0          (--help says the rest)

program.py   what a program is, and how any torch-like module runs it. Read this first
draw.py      draws one, step by step, from scope.py; families.py lists the operations
expect.py    what torch's runs allow: values and how far off, refusals, documented differences
variants.py  the same program in another way that must change nothing: no torch is needed
shrink.py    makes a failing program short
stored.py    programs with what torch says (stored.npz), for the suite (tests/test_programs.py)
"""
