"""Pictures: decoded in processes of their own, measured there, and handed back as numbers and one small JPEG.

What protocols that fetch pictures share; nothing here speaks to a network, and nothing here judges.

A protocol

- takes ``decoder_pool`` as its ``service`` (or enters it inside its own service).  All who enter it under one event
  loop hold the same pool: however many protocols fetch pictures, the daemon has ``WORKERS`` decoding processes;
- derives its options from ``PictureOptions`` (a still picture: a snapshot, one key frame) or from ``WatchOptions``
  (a stream that can be received for a while), and declares ``*PICTURE_VALUES``, with a stream also ``*STREAM_VALUES``;
- asks, as soon as it has what it wants to show::

      with run.stage("picture"), telling(run):
          picture = await examine(run, pool, options, "H.264", [Shot(unit.data)], seconds=run.left - goodbye)

  ``examine`` is one round trip: the process decodes all shots of one stream in their order and measures what they
  show.  It puts the values, the facts ``codec`` and ``profile``, and the frame that was measured last
  (``run.evidence``, a JPEG of at most 640 pixels and 64 KiB) into the run; what it must remember for the next run of
  the check (whether the picture stands still) is in ``run.memory``.  It raises Undecodable, WorkerDied, Overloaded
  and TimeoutError; ``telling`` makes failures of the closed list of them.  A protocol that tries another key frame
  catches Undecodable itself;
- with a stream, follows it by a ``Viewing`` (one for a run, fed with every access unit as it comes)::

      viewing = Viewing(options.watch)
      viewing.unit(unit, run_clock)      # an AccessUnit of wire.rtp, or the same made of a program stream
      viewing.satisfied                  # a key frame is there, and ``watch`` seconds have been seen
      run.values.update(viewing.values)  # frame rate, key-frame interval, longest gap
      await examine(run, pool, options, track.codec, viewing.shots, seconds=...)
"""

from __future__ import annotations

from sentinel.picture.decoding import DecoderPool, Overloaded, Picture, Undecodable, WorkerDied, decoder_pool
from sentinel.picture.examination import Shot, examine, telling
from sentinel.picture.options import PictureOptions, WatchOptions
from sentinel.picture.values import PICTURE_VALUES, STREAM_VALUES
from sentinel.picture.viewing import Viewing

__all__ = [
    "PICTURE_VALUES",
    "STREAM_VALUES",
    "DecoderPool",
    "Overloaded",
    "Picture",
    "PictureOptions",
    "Shot",
    "Undecodable",
    "Viewing",
    "WatchOptions",
    "WorkerDied",
    "decoder_pool",
    "examine",
    "telling",
]
