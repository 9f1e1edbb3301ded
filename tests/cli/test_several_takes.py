"""Several takes of one request, a place among other requests, and what a request will need."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run, daemon, no_engine


def test_several_takes_are_numbered_files_of_seeds_that_follow(
    run: Run, clip: Path, data_dir: Path, tmp_path: Path
) -> None:
    typed = ("generate", "--seconds", "0.1", "--seed", "7", "--takes", "3", "--out")
    (there := tmp_path / "a-2.wav").write_bytes(b"mine")
    refused = run(*typed, tmp_path / "a.wav")
    assert (refused.status, "a-2.wav' exists" in refused.err) == (2, True)
    assert not (data_dir / "takes").exists()
    local = run(*typed, tmp_path / "b.wav", "--report", tmp_path / "r.json", "--json")
    with daemon(data_dir, [clip.parent]):
        remote = run(*typed, tmp_path / "c.wav", "--json", engine=no_engine)
    for ran, name in ((local, "b"), (remote, "c")):
        assert ran.status == 0, ran.err
        takes = ran.json["takes"]
        assert [take["recipe"]["request"]["seed"] for take in takes] == [7, 8, 9]
        for number, take in enumerate(takes, 1):
            out = tmp_path / f"{name}-{number}.wav"
            assert take["written"]["out"] == str(out)
            assert out.read_bytes() == Path(take["path"]).read_bytes()
    assert (tmp_path / "r-3.json").exists()
    assert there.read_bytes() == b"mine"
    told = run(*typed[:-1], "--takes", "2").out.splitlines()
    assert [line.strip() for line in told if "take " in line] == ["take t-0007", "take t-0008"]


def test_a_take_that_fails_costs_no_other_its_name_or_its_mention(
    run: Run, clip: Path, data_dir: Path, tmp_path: Path
) -> None:
    typed = ("generate", "--seconds", "0.1", "--seed", "7", "--takes", "3", "--json", "--out")
    with daemon(data_dir, [clip.parent]):
        remote = run(*typed, tmp_path / "a.wav", "--prompt", "refuse_seed=8", engine=no_engine)
    local = run(*typed, tmp_path / "b.wav", "--prompt", "refuse_seed=9")
    for ran, name, numbers in ((remote, "a", (1, 3)), (local, "b", (1, 2))):
        assert ran.status == 2
        assert ran.json["error"]["message"] == "the clip is empty"
        written = [take["written"]["out"] for take in ran.json["takes"]]
        assert written == [str(tmp_path / f"{name}-{number}.wav") for number in numbers]
        seeds = [take["recipe"]["request"]["seed"] for take in ran.json["takes"]]
        assert seeds == [6 + number for number in numbers]


def test_several_takes_of_a_take_have_other_seeds(run: Run, clip: Path, data_dir: Path) -> None:
    run("generate", "--seconds", "0.1", "--seed", "7")
    local = run("rerender", "t-0001", "--takes", "2", "--json").json["takes"]
    with daemon(data_dir, [clip.parent]):
        remote = run("rerender", "t-0001", "--takes", "2", "--json", engine=no_engine).json["takes"]
    for takes in (local, remote):
        assert [take["recipe"]["request"]["seed"] for take in takes] == [8, 9]


def test_a_place_among_other_requests_needs_a_daemon(run: Run, clip: Path, data_dir: Path) -> None:
    typed = ("generate", "--seconds", "0.1", "--slot", "verse", "--priority", "batch")
    alone = run(*typed)
    assert (alone.status, "--slot says where" in alone.err) == (2, True)
    assert "start daw-bridge serve" in run("rerender", "t-0001", *typed[5:]).err
    assert "one of interactive, batch" in run(*typed[:3], "--priority", "high").err
    assert "it must be 1 to 16 takes" in run(*typed[:3], "--takes", "17").err
    with daemon(data_dir, [clip.parent]):
        assert run(*typed, engine=no_engine).status == 0
        (job,) = run("jobs", "--json").json["jobs"]
    assert (job["slot"], job["priority"]) == ("verse", "batch")


def test_an_estimate_is_the_same_here_and_by_the_daemon(
    run: Run, clip: Path, data_dir: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.wav"
    elsewhere.write_bytes(b"RIFF")
    typed = ("estimate", "extend", elsewhere, "--seconds", "0.5", "--steps", "7")
    local, lines = run(*typed, "--json"), run(*typed).out.splitlines()
    assert (local.status, local.json["evaluations_least"]) == (0, 7)
    assert lines == [
        "memory: 5120 MiB for the optimisation (keeps full)",
        "network: 7 to 9 evaluations",
        "time: about 0 s",
    ]
    with daemon(data_dir, [clip.parent]):
        assert run(*typed, "--json", engine=no_engine).json == local.json
    assert "give either seconds or bars" in run(*typed[:3]).err
    assert not (data_dir / "takes").exists() or not list((data_dir / "takes").iterdir())
