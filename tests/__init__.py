"""The tests.

Whatever they import first, in this process or in those that they start: OpenVINO's usage statistics are not sent. They
are sent by a fork of the process, which may hang, and keep open what it has inherited.
"""

from keepbusy.telemetry import forbid_sender

forbid_sender()
