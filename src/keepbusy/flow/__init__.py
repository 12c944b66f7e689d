"""Frames in, results out, the device never idle.

The contract
------------
1. A ring of slots, no callbacks. Frames are started in order and collected in order: the postprocessor waits for the
   *oldest* slot in flight, which releases the GIL, gives order for free, and leaves each error with its frame.
2. Slots are the only credit. Alive at any moment are at most, for each stream, `channel_frames` (1 if live) + 1
   being read, and for the run, one in each preprocessor, one per slot, and `results_buffered` (and one for
   each live stream) + 1 being handed over; each is one decoded picture (width x height x 3 bytes; half of that for a
   video's frame until its `image` is asked for). Of a live stream behind an address at most 16 MiB of packets wait to
   be decoded (`sources/backlog.py`). A slow consumer slows finite sources. Live streams drop their oldest
   waiting frame, which stays replaceable until a slot is free for it, and their oldest waiting result. Every drop is
   counted with its cause. Nothing grows with time.
3. One result for each frame read, in order for each stream. A frame that fails is a result with its error
   (`on_error="skip"`), or ends the stream (`"end"`) or the run (`"raise"`): the results before it are delivered, then
   its error is raised from `next()`.
4. The balance, at every moment, of each stream: arrived = results + dropped + in flight (`counters.py`).
5. Every wait can be woken. `close()` (also called by the end of a `with` block, by garbage collection and at the
   interpreter's exit) interrupts the sources, cancels what is in flight, joins every thread and leaves the slots free
   for the next run. It waits for a read that cannot be interrupted, or a model that is being compiled beside the
   frames' way, `READ_TIMEOUT_S` at most, and for a device
   `CANCEL_TIMEOUT_S`. An interrupt at any moment, while a run is made, started or closed, ends in the same state; see
   `keepbusy.threads.workers` for who owns what, and when.
6. Failures have a place: a source's is its stream's, a sink's its outlet's, a device's the run's.
7. Deterministic: the same frames give the same bytes in sync and async, at any depth.
8. Nothing that takes seconds is done where frames of several streams pass. A reader makes the slots ready for a new
   frame size before it hands on the frame; what may be needed later is made in the background.

Threads
-------
```
readers (one per stream) ─▶ Intake ─▶ preprocessors ─▶ [in flight, in order] ─▶ postprocessor ─▶ [results] ─▶ next()
                                           ▲                                       │
                                           └────────────── free slots ─────────────┘
```
One preprocessor is enough on few cores; on many, `preprocess_threads` of them lay out frames side by side.
A live stream behind an address has one more thread, which belongs to its source: it receives packets as they come, and
waits for nobody. FFmpeg cannot be woken there: closing waits for a second, and then leaves it behind.
A frame that failed before it reached the device travels along the same way without a slot, so that it keeps its
place. `SyncRun` uses the same readers and stages in the caller's thread, one after the other, with one slot and no
overlap (videos are then decoded without reading ahead, too).
"""
