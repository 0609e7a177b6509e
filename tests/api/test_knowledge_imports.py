"""Uploads: real files, odd names, sizes, the queue, and a service that stops half-way."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from api.knowledge.uploads import MAX_FILES, MAX_UPLOAD_BYTES, Form, read_form
from domain.errors import InvalidInput
from knowledge.documents import MAX_FILE_BYTES
from tests.api.envelope import refusal
from tests.api.service import Service, running_service
from tests.knowledge.files import PRICES, heading, paragraph, pdf, word, workbook

IMPORTS = "/api/knowledge/imports"
ENTRIES = "/api/knowledge/entries"
VERSIONS = "/api/knowledge/versions"
ENDED = ("done", "failed", "interrupted")
WAIT_S = 60.0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """It begins empty."""
    with running_service(tmp_path_factory.mktemp("imports")) as running:
        yield running


def upload(shop: Service, files: dict[str, bytes], **fields: str) -> httpx.Response:
    sent = [("files", (name, data)) for name, data in files.items()]
    return shop.client.post(IMPORTS, files=sent, data=fields)


def job(shop: Service, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = shop.client.get(f"{IMPORTS}/{job_id}").json()
    return found


def ended(shop: Service, response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 202, response.text
    ends = time.monotonic() + WAIT_S
    while time.monotonic() < ends:
        found = job(shop, response.json()["id"])
        if found["state"] in ENDED:
            return found
        time.sleep(0.02)
    raise AssertionError(f"the job goes on: {found}")


def imported(shop: Service, files: dict[str, bytes], **fields: str) -> dict[str, Any]:
    return ended(shop, upload(shop, files, **fields))


def entries(shop: Service, **filters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.client.get(ENTRIES, params=filters).json()["items"]
    return found


def search(shop: Service, query: str) -> dict[str, Any]:
    found: dict[str, Any] = shop.client.get("/api/knowledge/search", params={"query": query}).json()
    return found


def jsonl(count: int, mark: str) -> bytes:
    rows = ({"question": f"{mark}第 {n} 个怎么办？", "answer": f"{n}"} for n in range(count))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


# What is imported


def test_word_excel_and_pdf_are_imported_and_cited_with_their_position(shop: Service) -> None:
    def manual(document: Any) -> None:
        document.add_heading("退换", 1)
        document.add_paragraph("七天之内可以退换。")

    done = imported(
        shop,
        {
            "退换手册.docx": word(manual),
            "价目.xlsx": workbook({"价目表": PRICES}),
            "说明.pdf": pdf([heading("雨天充电")], [paragraph("雨天可以充电，枪头防水。")]),
        },
        category="店铺",
        tags="新，上传",
    )
    assert (done["state"], done["failures"], done["by"]) == ("done", [], "local")
    assert done["summary"]["added"] == len(entries(shop, category="店铺")) >= 3
    version = shop.client.get(f"/api/knowledge/versions/{done['version']}").json()
    assert "退换手册.docx" in version["note"]
    for document, words in (("退换手册.docx", "退换"), ("价目.xlsx", "价目表"), ("说明.pdf", "页")):
        found = entries(shop, document=document)
        assert found, document
        assert words in found[0]["position"], document
        assert found[0]["tags"] == ["新", "上传"]
    cited = search(shop, "退换")["evidence"][0]
    assert cited["source"].startswith("退换手册.docx")


def test_a_corrupt_file_is_named_with_its_reason_and_skips_only_itself(shop: Service) -> None:
    files = {"坏的.docx": b"PK\x03\x04 broken", "好的.md": "# 能寄国外吗？\n不能。\n".encode()}
    done = imported(shop, files)
    assert done["state"] == "done"
    assert [failure["source"] for failure in done["failures"]] == ["坏的.docx"]
    assert done["failures"][0]["reason"]
    assert search(shop, "能寄国外吗？")["exact"] is True


def test_an_upload_of_nothing_usable_fails_and_leaves_the_base_alone(shop: Service) -> None:
    before = shop.rows("knowledge_versions")
    done = imported(shop, {"空.md": b"", "坏.pdf": b"%PDF-1.7 no"}, rebuild="true")
    assert done["state"] == "failed"
    assert done["failures"][0]["reason"].startswith("没有可导入的内容")
    assert {failure["source"] for failure in done["failures"]} == {"", "空.md", "坏.pdf"}
    assert shop.rows("knowledge_versions") == before


def test_refresh_removes_what_left_the_file_and_an_unchanged_file_makes_no_version(
    shop: Service,
) -> None:
    both = "# 甲怎么办？\n甲。\n# 乙怎么办？\n乙。\n".encode()
    one = "# 甲怎么办？\n甲。\n".encode()
    assert imported(shop, {"刷新.md": both})["summary"]["added"] == 2
    assert imported(shop, {"刷新.md": one})["summary"]["removed"] == 0
    assert imported(shop, {"刷新.md": one}, refresh="true")["summary"]["removed"] == 1
    again = imported(shop, {"刷新.md": one}, refresh="true")
    assert (again["version"], again["summary"]["unchanged"]) == (None, 1)
    assert search(shop, "乙怎么办？")["exact"] is False


def test_a_rebuild_holds_exactly_what_was_uploaded_and_is_undone_as_a_version(
    tmp_path: Path,
) -> None:
    with running_service(tmp_path) as alone:
        imported(alone, {"旧.md": "# 旧的规矩？\n旧。\n".encode()})
        done = imported(alone, {"新.md": "# 新的规矩？\n新。\n".encode()}, rebuild="true")
        assert (done["summary"]["added"], done["summary"]["removed"]) == (1, 1)
        assert [entry["document"] for entry in entries(alone)] == ["新.md"]
        undo = alone.client.post(f"/api/knowledge/versions/{done['version']}/undo")
        assert undo.status_code == 200
        assert search(alone, "旧的规矩？")["exact"] is True
        assert search(alone, "新的规矩？")["exact"] is False


def test_the_index_is_made_anew_in_the_background_and_answers_meanwhile(shop: Service) -> None:
    imported(shop, {"索引.md": "# 索引还在吗？\n在。\n".encode()})
    started = shop.client.post("/api/knowledge/rebuild")
    assert started.headers["location"] == f"{IMPORTS}/{started.json()['id']}"
    assert search(shop, "索引还在吗？")["exact"] is True
    done = ended(shop, started)
    assert (done["kind"], done["state"], done["phase"]) == ("rebuild", "done", "rebuild")
    assert done["done"] == done["total"] == shop.rows("knowledge_entries")
    assert search(shop, "索引还在吗？")["exact"] is True


# Names


@pytest.mark.parametrize(
    ("sent", "document"),
    [
        ("../../../etc/passwd.md", "etc/passwd.md"),
        ("..\\..\\windows\\系统.md", "windows/系统.md"),
        ("/root/绝对.md", "root/绝对.md"),
        ("目录/./子/../名.md", "目录/子/名.md"),
        ("带#号 和 空格.md", "带＃号 和 空格.md"),
        ("表情😀|管道.md", "表情😀|管道.md"),
        ("换\r\n行\u202e反.md", "换%0D%0A行反.md"),
        ("<script>alert(1)<\u200b/script>.md", "<script>alert(1)</script>.md"),
    ],
)
def test_a_name_is_data_and_never_leads_anywhere(shop: Service, sent: str, document: str) -> None:
    done = imported(shop, {sent: f"# {document} 里有什么？\n一条。\n".encode()})
    assert done["state"] == "done", done
    assert [entry["document"] for entry in entries(shop, document=document)] == [document]


def test_a_name_in_gbk_is_read(shop: Service) -> None:
    response = posted(shop, part("退货.md".encode("gb18030"), "# 国标名？\n是。\n".encode()))
    assert ended(shop, response)["state"] == "done"
    assert len(entries(shop, document="退货.md")) == 1


def test_two_files_of_one_name_are_told_apart_from_one(shop: Service) -> None:
    text = "# 同名的？\n是。\n".encode()
    response = posted(
        shop, part("同名.md".encode(), text), part("同名.md".encode(), b"# other\nx\n")
    )
    done = ended(shop, response)
    assert done["summary"]["added"] == 1
    assert [failure["source"] for failure in done["failures"]] == ["同名.md"]


@pytest.mark.parametrize("name", ["..", "/", "\u200b", "长" * 121 + ".md"])
def test_a_name_that_is_none_or_too_long_is_refused(shop: Service, name: str) -> None:
    assert refusal(upload(shop, {name: b"x"}), 422)[0] == "files"


def part(name: bytes, data: bytes, field: str = "files") -> bytes:
    disposition = b'Content-Disposition: form-data; name="%s"; filename="%s"' % (
        field.encode(),
        name,
    )
    return b"--b0\r\n" + disposition + b"\r\n\r\n" + data + b"\r\n"


def posted(shop: Service, *parts: bytes, end: bytes = b"--b0--\r\n") -> httpx.Response:
    kind = {"Content-Type": "multipart/form-data; boundary=b0"}
    return shop.client.post(IMPORTS, content=b"".join(parts) + end, headers=kind)


# Refused


def test_a_form_that_breaks_off_is_refused_and_imports_nothing(shop: Service) -> None:
    before = shop.rows("knowledge_jobs")
    refusal(posted(shop, part("半.md".encode(), b"# a\nb\n"), end=b""), 400)
    refusal(posted(shop, b"nothing of the kind", end=b""), 400)
    assert shop.rows("knowledge_jobs") == before


def test_what_is_no_form_is_refused(shop: Service) -> None:
    refusal(shop.client.post(IMPORTS, json={"files": []}), 415)
    kind = {"Content-Type": "multipart/form-data"}
    refusal(shop.client.post(IMPORTS, content=b"--b0--", headers=kind), 400)


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ([], "files"),
        ([part(b"", b"")], "files"),
        ([part(b"a.md", b"x", "upload")], "upload"),
        ([b'--b0\r\nContent-Disposition: form-data; name="by"\r\n\r\nboss\r\n'], "by"),
    ],
    ids=["nothing", "an empty file input", "another field", "an actor"],
)
def test_a_form_without_files_or_with_unknown_fields_is_refused(
    shop: Service, parts: list[bytes], field: str
) -> None:
    assert refusal(posted(shop, *parts), 422)[0] == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"refresh": "也许"}, "refresh"),
        ({"category": "类" * 129}, "category"),
        ({"tags": ",".join(map(str, range(21)))}, "tags"),
        ({"category": "x" * 5_000}, "category"),
    ],
)
def test_a_field_that_cannot_be_used_is_refused(
    shop: Service, fields: dict[str, str], field: str
) -> None:
    assert refusal(upload(shop, {"a.md": b"# a\nb\n"}, **fields), 422)[0] == field


def test_more_files_than_one_upload_takes_are_refused(shop: Service) -> None:
    files = {f"{number}.md": b"# a\nb\n" for number in range(MAX_FILES + 1)}
    refusal(upload(shop, files), 413)


def test_a_file_of_21_mb_is_refused_by_name_and_nothing_is_imported(shop: Service) -> None:
    before = shop.rows("knowledge_jobs")
    files = {"小.md": b"# a\nb\n", "大.txt": b"x" * (MAX_FILE_BYTES + 1024 * 1024)}
    _, message = refusal(upload(shop, files), 413)
    assert "大.txt" in message
    assert "20 MB" in message
    assert shop.rows("knowledge_jobs") == before


def test_a_file_of_exactly_20_mb_is_taken(shop: Service) -> None:
    """What is in it is another question."""
    done = imported(shop, {"二十.bin": bytes(MAX_FILE_BYTES)})
    assert {failure["source"] for failure in done["failures"]} == {"", "二十.bin"}
    assert "MB" not in str(done["failures"])


async def test_reading_stops_where_a_file_becomes_too_large_and_keeps_none_of_it() -> None:
    sent = 0
    chunk = b"x" * 64 * 1024

    async def receive() -> Message:
        nonlocal sent
        head = part("大.bin".encode(), b"")[:-2] if not sent else b""
        sent += len(chunk)
        return {"type": "http.request", "body": head + chunk, "more_body": True}

    headers = [(b"content-type", b"multipart/form-data; boundary=b0")]
    request = Request({"type": "http", "headers": headers, "method": "POST"}, receive)
    with pytest.raises(InvalidInput) as refused:
        await read_form(request)
    assert refused.value.status == 413
    assert MAX_FILE_BYTES < sent <= MAX_FILE_BYTES + 2 * len(chunk)


async def test_what_is_read_waits_on_disk_and_not_in_memory() -> None:
    data = b"y" * (3 * 1024 * 1024)

    async def receive() -> Message:
        body = part(b"a.bin", data) + b"--b0--\r\n"
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", b"multipart/form-data; boundary=b0")]
    form: Form = await read_form(Request({"type": "http", "headers": headers}, receive))
    (found,) = form.files
    assert found.file.fileno() > 0, "in a file of the system"
    assert found.take() == data
    assert found.file.closed


def test_an_upload_that_says_it_is_too_large_is_refused_before_it_is_sent(shop: Service) -> None:
    url = httpx.URL(shop.url)
    head = (
        f"POST {IMPORTS} HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_UPLOAD_BYTES + 1}\r\n"
        "Content-Type: multipart/form-data; boundary=b0\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(64).startswith(b"HTTP/1.1 413 ")


def test_other_addresses_keep_their_smaller_limit(shop: Service) -> None:
    refusal(shop.client.post(ENTRIES, content=b" " * 2_000_000), 413)
    refusal(shop.client.post(f"{IMPORTS}/x", content=b" " * 2_000_000), 413)


# The queue


def test_two_imports_at_once_run_one_after_the_other(shop: Service) -> None:
    first = upload(shop, {"一.jsonl": jsonl(3_000, "一")}).json()["id"]
    second = upload(shop, {"二.jsonl": jsonl(20, "二")}).json()
    assert second["state"] == "queued"
    states: list[tuple[str, str]] = []
    while not states or states[-1][1] not in ENDED:
        # The second is read first: had it begun, the first must have ended by then.
        later = job(shop, second["id"])["state"]
        states.append((job(shop, first)["state"], later))
    assert states[-1] == ("done", "done")
    assert ("running", "queued") in states
    assert all(one == "done" for one, two in states if two != "queued")
    assert job(shop, first)["version"] < job(shop, second["id"])["version"]
    listed = shop.client.get(IMPORTS, params={"page_size": 2}).json()
    assert [item["id"] for item in listed["items"]] == [second["id"], first]
    assert listed["more"] is True


def test_a_queue_that_is_too_long_says_so(tmp_path: Path) -> None:
    with running_service(tmp_path) as alone:
        answers = [upload(alone, {"多.jsonl": jsonl(3_000, f"{n}组")}) for n in range(12)]
        codes = [answer.status_code for answer in answers]
        assert codes[:8] == [202] * 8
        assert 429 in codes
        refusal(next(answer for answer in answers if answer.status_code == 429), 429)


def test_a_service_that_stops_half_way_marks_its_imports_interrupted_and_changes_nothing(
    tmp_path: Path,
) -> None:
    data = jsonl(20_000, "停")
    with running_service(tmp_path) as stopped:
        running = upload(stopped, {"停.jsonl": data}).json()["id"]
        waiting = upload(stopped, {"等.jsonl": jsonl(5, "等")}).json()["id"]
        while job(stopped, running)["state"] == "queued":
            pass
    with running_service(tmp_path) as again:
        for job_id in (running, waiting):
            found = job(again, job_id)
            assert found["state"] == "interrupted"
            assert "重新提交" in found["failures"][0]["reason"]
        assert again.client.get(ENTRIES).json()["total"] == 0
        assert imported(again, {"停.jsonl": jsonl(600, "停")})["summary"]["added"] == 600


def test_an_import_that_was_committed_before_the_service_stopped_is_done(tmp_path: Path) -> None:
    with running_service(tmp_path) as stopped:
        running = upload(stopped, {"停.jsonl": jsonl(6_000, "停")}).json()["id"]
        while not stopped.client.get(VERSIONS).json()["items"]:  # the table also holds drafts
            assert job(stopped, running)["state"] in ("queued", "running", "done")
    with running_service(tmp_path) as again:
        found = job(again, running)
        assert (found["state"], found["summary"]["added"]) == ("done", 6_000)
        assert found["version"] == again.client.get(VERSIONS).json()["items"][0]["id"]
        assert search(again, "停第 7 个怎么办？")["exact"] is True


def test_an_import_whose_index_cannot_be_written_stands_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "knowledge").write_text("in the way")
    with running_service(tmp_path) as broken:
        done = imported(broken, {"在.md": "# 还在吗？\n在。\n".encode()})
        assert (done["state"], done["summary"]["added"]) == ("done", 1)
        assert [failure["source"] for failure in done["failures"]] == ["索引"]
        (tmp_path / "knowledge").unlink()
        assert search(broken, "还在吗？")["exact"] is True


def test_a_job_that_never_was_is_not_found(shop: Service) -> None:
    refusal(shop.client.get(f"{IMPORTS}/j_none"), 404)
