"""Fuzzing: damaged models, videos, pictures, texts and answers of servers, as many as there is time for.

    python -m tests.fuzz --seconds 600            all kinds, one after the other
    python -m tests.fuzz --kind videos --count 100 --seed 1
    python -m tests.fuzz --kind videos --seed 1 --only 42 --keep FOLDER

A case depends on its kind, the seed and its number alone. It runs in a process of its kind, which is started again when
it dies. Allowed is a result, or a `KeepbusyError`. Findings are: any other exception, a crash, a case that takes longer
than 20 s, a thread or a file that stays open, 2 GB of memory, an input that was changed, and a result that cannot be.

One file for each kind: how its inputs are made (`seeds`), damaged (`damage`) and used (`use`).
"""
