"""What a configuration of the server says.

settings.py         types, ranges, defaults, and a JSON schema for editors
load.py             a file or words → settings, with the line of each mistake
sources_allowed.py  what clients may have opened; loopback.py: addresses of this machine alone
secrets.py          passwords and tokens, kept out of all that leaves the program
demo.py             the wall of `--demo`
"""
