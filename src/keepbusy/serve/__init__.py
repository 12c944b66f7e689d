"""The server: streams that go on for days, a page to watch them, and an HTTP API.

settings.py   what a configuration may say; load.py: a file → settings, with the line of each mistake;
              check.py: what it names; secrets.py: passwords and tokens, kept out of all that leaves the program
backend.py    the model on a device; engine.py: keeps a run going, whatever the device does
roster.py     the streams by their names: added, changed and removed while the run goes on
served.py     one of them: its numbers over all runs, its newest result; outputs.py: its sinks;
              source.py: where its frames come from
ladder.py     which step against overload is taken when, pure; overload.py: what the steps do
requests.py   pictures that come by HTTP, as one more stream of the run
wall.py       these put together
app.py        the HTTP server put together; routes_*.py and kserve.py its parts; guard.py what stands before them
live.py       the page's one WebSocket; page/: the page itself
run.py        the process: its port, its signals, its configuration read again, its end
"""
