"""How fast avesound is, as ratios inside one run: `make bench`, or `python -m benchmarks --out_dir bench [--only LINE] [--quick]`.

A file here is a line of the table: a function under `@line` that yields a `Row` for each figure it measures. A new line is a new file and
its name in `__main__.MODULES`. Nothing fails for being slow: the exit status is 1 only where a line could not be measured at all.
"""
