"""How many cameras fit a machine: measured with the server's own engine, not guessed.

A number of cameras fits where a result comes of every frame. `cameras.py` says what kinds of cameras there are and in
which shares; `sampling.py` looks at each source once and keeps a few seconds of those that are live (`recording.py`);
`watching.py` runs some number of them as `keepbusy serve` would, for seconds, and counts (`cores.py`: the cores' time
by what it went into); `costs.py` computes from such counts how many would fit; `search.py` says which number to try
next; `whole.py` puts these together, and `text.py` says what came out.
"""
