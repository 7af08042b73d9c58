"""The commands of `ltx2`, by what they are about; `cli.py` lists them."""
