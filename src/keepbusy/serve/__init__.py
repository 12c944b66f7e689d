"""The server: streams that go on for days, a page to watch them, and an HTTP API.

configuration/  what a configuration says
check.py        what is wrong in one beyond its form: models, classes, sinks
supervise/      the streams, and the engine that infers their frames
http/           the page's connection, the API, KServe v2, Prometheus, and what stands before them; page/: the page
run.py          the process: its port, and its end; heard.py: its signals, reload.py: its configuration read again
"""
