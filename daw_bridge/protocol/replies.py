"""The half of the protocol table that the daemon says: replies and events."""

from __future__ import annotations

from daw_bridge.protocol.rows import JOB, Arg, Reply

# Where a result belongs. OSC has no null: what is not known is told by the offset alone.
PLACE = (
    Arg("offset_samples", "i", "where it begins, counted from the source's first sample", "samples",
        absent=0),
    Arg("position_samples", "i", "where it begins in the song; -1 in OSC when unknown", "samples",
        absent=-1),
    Arg("position_beats", "f", "the same in quarter notes; -1 in OSC when unknown", "beats",
        absent=-1.0),
    Arg("length_beats", "f", "its length in quarter notes; -1 in OSC when unknown", "beats",
        absent=-1.0),
)  # fmt: skip

_RATING = (
    Arg("verdict", "s", "`keep` or `discard`, as the musician said; empty in OSC when unsaid",
        absent=""),
    Arg("stars", "i", "1 to 5, as the musician said; 0 in OSC when unsaid", "stars", absent=0),
    Arg("note", "s", "the musician's words; empty in OSC when unsaid", clip=True, absent=""),
)  # fmt: skip

_ROOM = (
    Arg("warning", "s", "what the musician should know of the room that takes have; empty where "
        "all is well", clip=True),
    Arg("takes_bytes", "", "size of all takes", "bytes"),
    Arg("trash_bytes", "", "size of what was removed and can be restored", "bytes"),
)  # fmt: skip

REPLIES: tuple[Reply, ...] = (
    Reply(
        "hello",
        "who the daemon is and what it can do",
        (
            Arg("version", "s", "version of the daemon"),
            Arg("protocol", "i", "version of this table"),
            Arg("commands", "s", "names of all commands; in OSC with commas", clip=True),
            Arg("formats", "s", "formats of streams and previews; in OSC with commas"),
            Arg("transports", "s", "address or port of each; in OSC name=value with commas"),
            Arg("limits", "s", "limits by name; in OSC name=value with commas", clip=True),
        ),
    ),
    Reply(
        "subscribed",
        "events of all jobs follow",
        (
            Arg("expires_s", "f", "when it ends unless it is renewed; 0 with the connection", "s"),
        ),
        last=False,
    ),
    Reply("unsubscribed", "events of all jobs end"),
    Reply("pong", "the daemon lives"),
    Reply(
        "accepted",
        "the job is queued and will survive a restart; of several takes each job is told",
        (
            JOB,
            Arg("seed", "", "seed of its noise"),
            Arg("supersedes", "", "ids of the jobs that it takes the slot from"),
        ),
        last=False,
    ),
    Reply(
        "progress",
        "how far a job is",
        (
            JOB,
            Arg("stage", "s", "name of the stage", clip=True),
            Arg("fraction", "f", "0 to 1, never falls"),
            Arg("eta_s", "f", "estimated time left; -1 in OSC when unknown", "s", absent=-1.0),
            Arg("step", "i", "step of the stage"),
            Arg("steps", "i", "steps of the stage, 0 when unknown"),
            Arg("loss", "", "objective of the current step"),
            Arg("best", "", "lowest objective so far"),
        ),
        event=True,
        last=False,
    ),
    Reply(
        "preview",
        "a part of the result can be heard; WebSocket sends it as binary frames instead",
        (
            JOB,
            Arg(
                "revision", "i",
                "rises each time the preview is rendered anew, also when the job starts again",
            ),
            Arg("offset_samples", "i", "place in the finished file", "samples"),
            Arg("sample_rate_hz", "i", "sample rate", "Hz"),
            Arg("channels", "i", "channels"),
            Arg("length_samples", "i", "length of the part", "samples"),
        ),
        event=True,
        last=False,
    ),
    Reply(
        "stem",
        "a file of a finished job that has several, told before `done`; in JSON an entry of its "
        "`files`",
        (
            JOB,
            Arg("name", "s", "mix, drums, bass, chords or lead"),
            Arg("path", "s", "the file"),
            Arg("sample_rate_hz", "i", "sample rate", "Hz"),
            Arg("channels", "i", "channels"),
            Arg("length_samples", "i", "length", "samples"),
        ),
        last=False,
    ),
    Reply(
        "done",
        "the job is finished and its take is kept",
        (
            JOB,
            Arg("take", "s", "take id"),
            Arg("path", "s", "the take's main file"),
            *PLACE,
            Arg("files", "", "every stem: name, path, sample_rate_hz, channels, length_samples and "
                "the SHA-256 of the file, empty in the oldest takes"),
            Arg("report", "", "figures of the render"),
            Arg("recipe", "", "how to make it again"),
        ),
        event=True,
        items="stem",
        items_in="files",
        items_from=2,
    ),
    Reply(
        "cancelled",
        "the job stopped because it was asked to, or because a newer one took its slot",
        (JOB, Arg("reason", "s", "why it stopped", clip=True, absent="")),
        event=True,
    ),
    Reply(
        "failed",
        "the request or the job failed; in JSON an `event` with `job` when a job failed",
        (
            Arg("code", "s", "error code"),
            Arg("message", "s", "what is wrong", clip=True),
            Arg("hint", "s", "what to do about it", clip=True),
            Arg("job", "", "job id, when a job failed"),
        ),
        event=True,
    ),
    Reply(
        "estimate",
        "what a render would need",
        (
            Arg("cached", "i", "1 when it has been rendered before and is at hand"),
            Arg("policy", "s", "what is kept for gradients: `none`, `one call` of the network at a "
                "time, all calls of a sampler's run (`full`), or its states (`checkpointed`)"),
            Arg("needed_bytes", "f", "memory of the optimisation, beside that of the model",
                "bytes"),
            Arg("free_bytes", "f", "memory that the device could give; -1 in OSC when unknown",
                "bytes", absent=-1.0),
            Arg("evaluations_least", "i", "evaluations of the network until the result is there, "
                "where goals are met at once and inversions come to an end soon"),
            Arg("evaluations_most", "i", "the same where they are not; a method that does neither "
                "makes exactly so many"),
            Arg("seconds", "f", "as long as the last render of the same method took for as much "
                "work; -1 in OSC when unknown", "s", absent=-1.0),
        ),
    ),
    Reply("cancelling", "the job stops as soon as the engine has seen it", (JOB,)),
    Reply(
        "watching",
        "events of the job follow",
        (JOB, Arg("state", "s", "queued, running, done, failed or cancelled")),
        last=False,
    ),
    Reply(
        "status",
        "what the daemon is doing",
        (
            Arg("version", "s", "version of the daemon"),
            Arg("engine", "s", "starting, ready, broken or stopped"),
            Arg("running", "s", "id of the running job, else empty"),
            Arg("queued", "i", "jobs waiting", "jobs"),
            Arg("clients", "i", "clients that are connected", "clients"),
            Arg("uptime_s", "f", "time since the daemon started", "s"),
            Arg("client_names", "", "the clients that said hello, by name; those of UDP were heard "
                "within ten minutes"),
            Arg("engine_info", "", "device and models, once the engine is ready"),
            Arg("engine_error", "", "why the engine is broken"),
            Arg("models_loaded", "", "whether the engine has its models in memory"),
            *_ROOM,
        ),
    ),
    Reply(
        "job",
        "one entry of `jobs`",
        (
            JOB,
            Arg("task", "s", "task"),
            Arg("state", "s", "queued, running, done, failed or cancelled"),
            Arg("fraction", "f", "0 to 1"),
            Arg("eta_s", "f", "estimated time left; -1 in OSC when unknown", "s", absent=-1.0),
            Arg("take", "s", "take id once done", absent=""),
            Arg("request", "", "the request"),
            Arg("error", "", "code, message and hint once failed"),
            Arg("slot", "", "place in the client that it is for"),
            Arg("priority", "", "interactive or batch"),
            Arg("reason", "", "why it was cancelled"),
        ),
        last=False,
    ),
    Reply("jobs", "the jobs; OSC sends one `job` for each before it",
          (Arg("count", "i", "entries"),), items="job"),
    Reply(
        "take",
        "one entry of `takes`",
        (
            Arg("take", "s", "take id"),
            Arg("task", "s", "task"),
            Arg("path", "s", "the take's main file"),
            Arg("sample_rate_hz", "i", "sample rate", "Hz"),
            Arg("channels", "i", "channels"),
            Arg("length_samples", "i", "length", "samples"),
            *PLACE,
            *_RATING,
            Arg("created", "", "time it was kept, UTC"),
            Arg("files", "", "every stem"),
            Arg("report", "", "figures, when one take was asked for"),
            Arg("recipe", "", "how to make it again, when one take was asked for"),
            Arg("removed", "", "time it was removed, UTC, when the trash was asked for"),
        ),
        last=False,
    ),
    Reply("takes", "the takes; OSC sends one `take` for each before it",
          (Arg("count", "i", "entries"),), items="take"),
    Reply(
        "exported",
        "the file is written",
        (
            Arg("path", "s", "the new file"),
            Arg("container", "s", "wav, aiff or flac"),
            Arg("sample_format", "s", "PCM_16, PCM_24 or FLOAT"),
            Arg("sample_rate_hz", "i", "sample rate", "Hz"),
            Arg("channels", "i", "channels"),
            Arg("length_samples", "i", "length", "samples"),
            Arg("peak_db", "f", "highest sample against full scale, before anything was cut; -200 "
                "for silence", "dB"),
            Arg("over_samples", "i", "how many samples were over full scale and cut", "samples"),
            Arg("dithered", "", "whether bits were lost, and dithered"),
            Arg("size_bytes", "", "size of the file", "bytes"),
            Arg("sha256", "", "of the file, in hexadecimal"),
        ),
    ),
    Reply("removed", "the take is in the trash", (Arg("take", "s", "take id"), *_ROOM)),
    Reply("restored", "the take is back",
          (Arg("take", "s", "take id"), Arg("path", "s", "the take's main file"), *_ROOM)),
    Reply("rated", "the rating as it is now", (Arg("take", "s", "take id"), *_RATING)),
    Reply(
        "model",
        "one entry of `models`",
        (
            Arg("name", "s", "name"),
            Arg("digest", "s", "digest of the weights", absent=""),
            Arg("architecture", "s", "what it is; empty for the embedded model", absent=""),
            Arg("size_bytes", "i", "of its weights", "bytes", absent=0),
        ),
        last=False,
    ),
    Reply("models", "the models; OSC sends one `model` for each before it",
          (Arg("count", "i", "entries"),), items="model"),
    Reply("upload", "send the bytes", (Arg("upload", "", "number for the frames' `stream`"),
           Arg("offset_bytes", "", "how many bytes are there already; go on from there", "bytes")),
          last=False),
    Reply("uploaded", "the upload is complete",
          (Arg("source", "", "value for any field that takes a path: upload:ID"),
           Arg("size_bytes", "", "size", "bytes"))),
    Reply(
        "stream",
        "the audio follows",
        (
            Arg("stream", "", "number in the frames' `stream`"),
            Arg("sample_rate_hz", "", "sample rate", "Hz"),
            Arg("channels", "", "channels"),
            Arg("length_samples", "", "length of the whole file", "samples"),
            Arg("offset_samples", "", "where the stream begins", "samples"),
            Arg("format", "", "format of the frames"),
        ),
    ),
    Reply("unloading", "the engine unloads its models as soon as it is idle"),
    Reply("stopping", "the daemon stops"),
)  # fmt: skip
