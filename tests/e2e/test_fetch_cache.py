# SPDX-License-Identifier: Apache-2.0
"""The cache of fetched files: what it saves, what it must never serve, and what survives a kill."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from checkpoints import make_safetensors, write_safetensors, write_sharded
from daemon import LOCAL, Kend
from fetching import (  # fetch and origin are fixtures
    BODY,
    PATH,
    SIZE,
    Prober,
    body,
    sha256,
    fetch,
    origin,
)
from origin import Behaviour, Origin
from running import cancel, poll, until_stage
from tokens import House, Tokens


def entries(fetch: Prober) -> list[Path]:
    return sorted(one for one in fetch.cache.iterdir() if one.is_dir())


@pytest.mark.smoke
@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(),
        Behaviour(etag="weak"),
        Behaviour(etag="none"),
        Behaviour(conditional=False),
        Behaviour(ranges=False),
    ],
    ids=["etag", "weak", "last-modified", "unconditional", "no-ranges"],
)
def test_a_hit_asks_the_origin_and_fetches_nothing(behaviour: Behaviour, origin: Origin, fetch: Prober) -> None:
    origin.behave(PATH, behaviour)
    assert fetch(origin.url + PATH).received >= SIZE
    origin.forget()
    got = fetch(origin.url + PATH)
    assert (got.code, got.seen, got.sha256, got.resumed) == ("KEN_OK", sha256(BODY), sha256(BODY), SIZE)
    requests = origin.seen()
    assert len(requests) == 1
    assert {"if-none-match", "if-modified-since"} & requests[0].headers.keys()
    if behaviour.conditional:
        assert (requests[0].status, got.received) == (304, 0)


def test_no_hit_without_the_origin(origin: Origin, fetch: Prober) -> None:
    assert fetch(origin.url + PATH).code == "KEN_OK"
    for status in (401, 403, 404, 503):
        origin.behave(PATH, Behaviour(status=status))
        got = fetch(origin.url + PATH, retries=0)
        assert (got.code, got.seen) == ("KEN_EFETCH", "")
        assert f"answered {status}" in got.message


def test_no_hit_for_another_owner(origin: Origin, fetch: Prober) -> None:
    assert fetch(origin.url + PATH, owner="ann").code == "KEN_OK"
    got = fetch(origin.url + PATH, owner="bob")
    assert (got.received, got.resumed) == (SIZE, 0)
    assert fetch(origin.url + PATH, owner="ann").received == 0


@pytest.mark.smoke
def test_nobody_reads_through_the_credentials_of_another(tmp_path: Path) -> None:
    """A signed URL is a credential: who does not have it gets nothing, and who had it gets nothing once it has expired."""
    weight = np.arange(70_000, dtype=np.float32).reshape(700, 100)
    signed = Behaviour(secret="sig=SECRET")
    with Origin() as serving, House(tmp_path, **LOCAL).kend as kend:
        tokens = Tokens(tmp_path)
        for name in ("ann", "bob"):
            tokens.make(name, name, "submit")
        kend.reload()
        serving.put(PATH, make_safetensors({"weight": weight}))
        serving.behave(PATH, signed)
        document = {"base": serving.url + "/base", "keep": 0.5, "outputs": ["report"]}
        serving.put("/base", make_safetensors({"weight": weight * 2}))

        def run(who: str, query: str) -> str:
            """How it ends: its error code, or what was fetched of the model."""
            before = serving.stats(PATH).sent
            kend.headers = tokens.bearer(who)
            job = kend.wait(kend.submit({**document, "model": f"{serving.url}{PATH}{query}"}))
            assert "SECRET" not in json.dumps([job, kend.events(job["id"])])
            return job["error"]["message"] if job["error"] else f"{serving.stats(PATH).sent - before} bytes"

        size = len(make_safetensors({"weight": weight}))
        refused = "the server answered 403: it wants other credentials"
        assert run("ann", "?sig=SECRET") == f"{size} bytes"
        assert run("ann", "?sig=SECRET") == "0 bytes"
        for query in ("", "?", "?sig=", "?sig=secret"):
            assert refused in run("bob", query)
        assert run("bob", "?sig=SECRET") == f"{size} bytes"
        assert refused in run("ann", "")
        serving.behave(PATH, Behaviour(secret="sig=NEWER"))
        for who in ("ann", "bob"):
            assert refused in run(who, "?sig=SECRET")
        assert "SECRET" not in kend.log_text()


def test_no_hit_for_another_query(origin: Origin, fetch: Prober) -> None:
    assert fetch(origin.url + PATH + "?token=a").received == SIZE
    assert fetch(origin.url + PATH + "?token=b").received == SIZE


def test_no_hit_without_validators(origin: Origin, fetch: Prober) -> None:
    origin.behave(PATH, Behaviour(etag="none", last_modified=False))
    assert fetch(origin.url + PATH).code == "KEN_OK"
    assert entries(fetch) == []
    got = fetch(origin.url + PATH)
    assert (got.code, got.resumed) == ("KEN_OK", 0)


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_changed_file_is_fetched_anew(conditional: bool, ranges: bool, origin: Origin, fetch: Prober) -> None:
    origin.behave(PATH, Behaviour(conditional=conditional, ranges=ranges))
    assert fetch(origin.url + PATH).seen == sha256(BODY)
    for other in (body(SIZE, 2), body(1000, 3), b""):
        origin.put(PATH, other)
        got = fetch(origin.url + PATH)
        assert (got.code, got.size, got.seen, got.resumed) == ("KEN_OK", len(other), sha256(other), 0)
        assert got.cache_bytes == len(other)


def test_a_digest_verifies_and_what_is_wrong_is_dropped(origin: Origin, fetch: Prober) -> None:
    assert fetch(origin.url + PATH, sha256=sha256(BODY)).code == "KEN_OK"
    assert len(entries(fetch)) == 1
    got = fetch(origin.url + PATH, sha256="0" * 64)
    assert (got.code, got.message) == (
        "KEN_EDIGEST",
        f"{origin.url}{PATH} has the SHA-256 {sha256(BODY)}, not {'0' * 64}",
    )
    assert entries(fetch) == []
    assert fetch(origin.url + PATH, sha256=sha256(BODY)).received == SIZE


@pytest.mark.parametrize("damage", ["meta", "data", "no-data", "folder"])
def test_damage_does_not_count_and_does_not_block(damage: str, origin: Origin, fetch: Prober) -> None:
    assert fetch(origin.url + PATH).code == "KEN_OK"
    (entry,) = entries(fetch)
    if damage == "meta":
        (entry / "meta").write_text('{"version":1,"size":')
    elif damage == "data":
        (entry / "data").write_bytes(bytes(SIZE))
    else:
        (entry / "data").unlink()
    if damage == "folder":
        (entry / "data").mkdir()
        (entry / "meta").unlink()
        got = fetch(origin.url + PATH)
        assert got.code == "KEN_EIO"
        return
    got = fetch(origin.url + PATH)
    assert (got.code, got.seen, got.received) == ("KEN_OK", sha256(BODY), SIZE)


def test_preflight_is_kept_for_the_fetch(origin: Origin, fetch: Prober) -> None:
    assert fetch(origin.url + PATH, headers_only=1, read=["0:65536"]).there == 65536
    got = fetch(origin.url + PATH)
    assert (got.seen, got.resumed, got.received) == (sha256(BODY), 65536, SIZE - 65536)
    assert got.notes == [f"65536 of {SIZE} bytes of {origin.url}{PATH} are in the cache"]


# ---------------------------------------------------------------- kill -9


def test_kill_and_resume(origin: Origin, fetch: Prober) -> None:
    """Killed again and again, it comes to its end, and no byte that was saved is fetched twice."""
    content = body(12_000_000)
    origin.put("/big", content)
    origin.rate = 3_000_000
    saved = 0
    for _ in range(3):
        process = fetch.start(origin.url + "/big")
        before = saved

        def has_more() -> bool:
            nonlocal saved
            for entry in entries(fetch) if fetch.cache.exists() else []:
                if (entry / "meta").exists():
                    saved = sum(end - first for first, end in json.loads((entry / "meta").read_text())["ranges"])
            return saved > before

        poll(has_more)
        process.kill()
        process.wait()
    origin.rate = 0
    got = fetch(origin.url + "/big")
    assert (got.code, got.seen) == ("KEN_OK", sha256(content))
    assert got.resumed >= saved > 0
    assert got.received == len(content) - got.resumed
    assert got.notes == [f"{got.resumed} of {len(content)} bytes of {origin.url}/big are in the cache"]


@pytest.mark.parametrize("change", ["bytes", "gone-weak"])
def test_after_a_kill_only_what_the_origin_confirms(change: str, origin: Origin, fetch: Prober) -> None:
    content = body(6_000_000)
    origin.put("/big", content)
    origin.rate = 2_000_000
    process = fetch.start(origin.url + "/big")
    poll(lambda: fetch.cache.exists() and any((one / "meta").exists() for one in entries(fetch)))
    process.kill()
    process.wait()
    origin.rate = 0
    if change == "bytes":
        content = body(6_000_000, 2)
        origin.put("/big", content)
    else:
        origin.behave("/big", Behaviour(etag='W/"weak"', last_modified=False))
    got = fetch(origin.url + "/big")
    assert (got.code, got.seen, got.resumed) == ("KEN_OK", sha256(content), 0)


def test_without_a_strong_validator_a_kill_starts_over(origin: Origin, fetch: Prober) -> None:
    content = body(4_000_000)
    origin.put("/big", content)
    origin.behave("/big", Behaviour(etag="weak", last_modified=False))
    origin.rate = 2_000_000
    process = fetch.start(origin.url + "/big")
    poll(lambda: origin.stats().sent > 2_500_000)
    process.kill()
    process.wait()
    origin.rate = 0
    got = fetch(origin.url + "/big")
    assert (got.code, got.seen, got.resumed) == ("KEN_OK", sha256(content), 0)
    assert len(entries(fetch)) == 1


# ---------------------------------------------------------------- sharing


def test_one_file_wanted_by_many_is_fetched_once(origin: Origin, fetch: Prober) -> None:
    content = body(9_000_000)
    origin.put("/big", content)
    origin.rate = 9_000_000
    got = fetch.all(*[origin.url + "/big"] * 4)
    assert [(one.code, one.seen) for one in got] == [("KEN_OK", sha256(content))] * 4
    assert origin.stats().sent == len(content)


def test_many_files_at_once(origin: Origin, fetch: Prober) -> None:
    contents = [body(700_000, seed) for seed in range(8)]
    for i, content in enumerate(contents):
        origin.put(f"/{i}", content)
    got = fetch.all(*[f"{origin.url}/{i}" for i in range(8)])
    assert [one.seen for one in got] == [sha256(one) for one in contents]
    assert got[0].cache_bytes == 8 * 700_000


@pytest.mark.parametrize("ranges", [True, False])
def test_many_slow_files_of_one_job_leave_connections_to_others(ranges: bool, tmp_path: Path) -> None:
    folder, count = tmp_path / "files", 80
    write_sharded(folder / "slow", [{f"{i:02}": np.full(60_000, i, np.float32)} for i in range(count)])
    write_safetensors(folder / "quick", {"weight": np.ones((100, 100), np.float32)})
    with Origin(folder) as slow, Origin(folder) as quick, Kend(tmp_path, {"jobs.max_running": 2}) as kend:
        for shard in (folder / "slow").glob("*.safetensors"):
            slow.behave(f"/slow/{shard.name}", Behaviour(ranges=ranges, drip=4000))

        def submit(url: str) -> str:
            return kend.submit({"model": url, "base": url, "keep": 0.5, "outputs": ["report"]})

        first = submit(slow.url + "/slow/")
        until_stage(kend, first, "fetching")
        begun = time.monotonic()
        assert kend.wait(submit(quick.url + "/quick"))["status"] == "succeeded"
        assert time.monotonic() - begun < 10
        assert kend.job(first)["stage"] == "fetching"
        cancel(kend, first)


def test_who_takes_notes_slowly_holds_up_no_other(origin: Origin, fetch: Prober) -> None:
    """As many as there are threads in libuv's pool."""
    origin.put("/quick", BODY)
    origin.behave("/quick", Behaviour(delay=1.2))
    for i in range(4):
        origin.put(f"/{i}", BODY)
        origin.behave(f"/{i}", Behaviour(status=500, times=1))
    *all_slow, quick = fetch.all(*[f"{origin.url}/{i}" for i in range(4)], origin.url + "/quick", note_ms=4000)
    for slow in all_slow:
        assert (slow.code, slow.seen, len(slow.notes)) == ("KEN_OK", sha256(BODY), 1)
    assert (quick.code, quick.seen) == ("KEN_OK", sha256(BODY))
    assert quick.ms < 3000


# ---------------------------------------------------------------- room


def test_the_least_recently_used_goes(origin: Origin, fetch: Prober) -> None:
    for name in "abc":
        origin.put(f"/{name}", body(400_000))
    for name in "aba":
        assert fetch(f"{origin.url}/{name}", cache_max=1_000_000).code == "KEN_OK"
        time.sleep(0.02)
    assert fetch(origin.url + "/c", cache_max=1_000_000).cache_bytes == 800_000
    origin.forget()
    assert fetch(origin.url + "/a", cache_max=1_000_000).received == 0
    assert fetch(origin.url + "/b", cache_max=1_000_000).received == 400_000


@pytest.mark.parametrize("behaviour", [Behaviour(), Behaviour(ranges=False), Behaviour(ranges=False, chunked=True)])
def test_larger_than_the_cache(behaviour: Behaviour, origin: Origin, fetch: Prober) -> None:
    origin.behave(PATH, behaviour)
    got = fetch(origin.url + PATH, cache_max=SIZE - 1)
    assert got.code == "KEN_ETOO_LARGE"
    assert "more than cache.max_bytes (299999)" in got.message
    assert fetch(origin.url + PATH, cache_max=SIZE).code == "KEN_OK"


@pytest.mark.parametrize("behaviour", [Behaviour(), Behaviour(ranges=False, chunked=True)])
def test_no_room_on_the_disk(behaviour: Behaviour, origin: Origin, fetch: Prober) -> None:
    origin.behave(PATH, behaviour)
    got = fetch(origin.url + PATH, reserve=1 << 60)
    assert got.code == "KEN_ENO_SPACE"
    assert "disk.reserve_bytes" in got.message and str(1 << 60) not in got.message
    assert fetch(origin.url + PATH).code == "KEN_OK"


def test_two_that_do_not_fit_together_come_one_after_the_other(origin: Origin, fetch: Prober) -> None:
    contents = [body(600_000, 1), body(600_000, 2)]
    for i, content in enumerate(contents):
        origin.put(f"/{i}", content)
        origin.behave(f"/{i}", Behaviour(drip=2_000_000))
    got = fetch.all(origin.url + "/0", origin.url + "/1", cache_max=1_000_000)
    assert [(one.code, one.seen) for one in got] == [("KEN_OK", sha256(one)) for one in contents]
    assert sum("waiting for room" in note for one in got for note in one.notes) == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_job_does_not_wait_for_what_it_holds_itself(chunked: bool, tmp_path: Path) -> None:
    with Origin() as serving, Kend(tmp_path, {"cache.max_bytes": 100_000 if chunked else 20_000}) as kend:
        for name in ("/model", "/base"):
            serving.put(name, make_safetensors({"weight": np.ones(16_000, np.float32)}))
            serving.behave(name, Behaviour(ranges=not chunked, chunked=chunked))
        job = kend.wait(kend.submit({"model": serving.url + "/model", "base": serving.url + "/base", "keep": 0.5}), 20)
        assert (job["status"], job["error"]["code"]) == ("failed", "too_large")
        assert "cache.max_bytes" in job["error"]["message"]


@pytest.mark.parametrize("right", [True, False])
def test_a_confirmed_copy_that_makes_no_sense_is_fetched_anew_once(right: bool, tmp_path: Path) -> None:
    whole = make_safetensors({"weight": np.ones(16_000, np.float32)})
    with Origin() as serving, Kend(tmp_path) as kend:
        serving.put("/model", whole)

        def run(content: bytes) -> "tuple[str, str]":
            """How a job ends where the origin has this under an ETag that never changes; and its notes."""
            serving.behave("/model", Behaviour(content=content, etag='"same"'))
            job = kend.submit({"model": serving.url + "/model", "base": serving.url + "/model", "keep": 0.5})
            ended = kend.wait(job)["status"]
            return ended, json.dumps(kend.events(job))

        assert run(whole[:-1000])[0] == "failed"
        before = len(serving.requests)
        status, events = run(whole if right else whole[:-1000])
        assert status == ("succeeded" if right else "failed")
        assert events.count("fetching it anew") == 1
        assert len(serving.requests) - before < 8
        if right:
            assert "fetching it anew" not in run(whole)[1]


# ---------------------------------------------------------------- cancelling


@pytest.mark.parametrize("where", ["fetching", "stalled", "not answered"])
def test_cancelling_ends_transfers_at_once(where: str, origin: Origin, fetch: Prober) -> None:
    content = body(9_000_000)
    origin.put("/big", content)
    if where == "fetching":
        origin.rate = 3_000_000
    else:
        origin.behave("/big", Behaviour(delay=30) if where == "not answered" else Behaviour(stall_at=1000))
    begun = time.monotonic()
    got = fetch(origin.url + "/big", cancel_after=600, stall=30)
    assert got.code == "KEN_ECANCELLED"
    assert 600 <= got.ms < 900
    assert time.monotonic() - begun < 3
    # What came counts for the next one.
    if where == "fetching":
        origin.rate = 0
        got = fetch(origin.url + "/big")
        assert got.resumed > 500_000
        assert got.seen == sha256(content)
