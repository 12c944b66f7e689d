"""The server's HTTP side: its page, its API, KServe v2, Prometheus.

guard.py      what stands before every request; access.py: who may do what; protocols.py: connections that wait
bodies.py     what clients send, within limits; pictures.py: encoded once for all; room.py: memory of both
routes_*.py   streams, pictures and events; kserve.py: model servers' protocol, kserve_wire.py: its bytes
live.py       the page's one WebSocket, ticker.py: what it is told; report.py: the state as JSON
metrics.py    Prometheus
app.py        all of these put together; the page itself is in ../page
"""
