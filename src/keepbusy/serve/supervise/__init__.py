"""Streams that go on for days, on a device that may fail.

backend.py   the model on a device; attempt.py, prepared.py: compiled in threads of their own
engine.py    keeps one run going, whatever the device does
served.py    one stream over all runs: its numbers, its newest result; source.py: where its frames come from;
             outputs.py: its sinks
roster.py    the streams by their names; kept.py: those that clients have added
requests.py  pictures that come by HTTP, as one more stream of the run
ladder.py    which step against overload is taken when; overload.py: what the steps do
view.py      what the engine does, in numbers; verdict.py: in words; signals.py: what has happened
wall.py      all of these put together
"""
