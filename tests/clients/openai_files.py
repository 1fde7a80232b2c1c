"""A day's work of file search by the official openai client, from an empty server."""

import os
import sys

import openai

SERVER, KEY = os.environ["SERVER"], os.environ["KEY"]
client = openai.OpenAI(base_url=f"{SERVER}/v1", api_key=KEY, max_retries=0)
# Before 1.66 they were in beta.
stores = getattr(client, "vector_stores", None) or client.beta.vector_stores

LIFT = b"# Lift\n\nLift holds an aircraft in the air. It grows with the square of the speed.\n"
DRAG = b"Drag slows an aircraft down. A smooth surface has less of it.\n"
PAGE = b"<title>Thrust</title><p>Thrust moves an aircraft forward, against its drag.</p>"


def fails(kind, code, param, call):
    try:
        call()
    except kind as error:
        assert error.code == code, (error.code, error)
        assert error.param == param, (error.param, error)
    else:
        raise AssertionError(f"no {kind.__name__}")


def files():
    file = client.files.create(file=("lift.md", LIFT), purpose="assistants")
    assert (file.filename, file.bytes, file.purpose) == ("lift.md", len(LIFT), "assistants"), file
    assert file.object == "file" and file.status == "processed" and file.created_at > 1e9, file
    assert client.files.retrieve(file.id).filename == "lift.md"
    assert client.files.content(file.id).read() == LIFT
    other = client.files.create(file=("drag.txt", DRAG), purpose="user_data")
    assert [one.id for one in client.files.list()] == [other.id, file.id]
    # A page at a time, as the client turns them, and both ways.
    assert [one.id for one in client.files.list(limit=1)] == [other.id, file.id]
    assert [one.id for one in client.files.list(limit=1, order="asc")] == [file.id, other.id]
    assert [one.id for one in client.files.list(purpose="user_data")] == [other.id]
    deleted = client.files.delete(other.id)
    assert deleted.deleted and deleted.id == other.id, deleted
    fails(openai.NotFoundError, "unknown_file", None, lambda: client.files.retrieve(other.id))
    refused = lambda **said: lambda: client.files.create(**{"file": ("a.txt", DRAG), "purpose": "assistants", **said})
    fails(openai.BadRequestError, "invalid_value", "purpose", refused(purpose="fine-tune"))
    fails(openai.BadRequestError, "invalid_value", "file", refused(file=("a.bin", b"\x00\x01\x02")))
    return file


def a_store(file):
    store = stores.create(name="Flight Papers", metadata={"team": "wing"})
    assert store.id.startswith("vs_flight-papers-") and store.name == "Flight Papers", store
    assert store.metadata == {"team": "wing"} and store.file_counts.total == 0, store
    # What is in the middle of the way is polled for.
    attached = stores.files.create_and_poll(file.id, vector_store_id=store.id)
    assert attached.status == "completed" and attached.id == file.id, attached
    assert attached.vector_store_id == store.id and attached.last_error is None, attached
    again = stores.files.create(vector_store_id=store.id, file_id=file.id)
    assert again.id == file.id
    page = stores.files.upload_and_poll(vector_store_id=store.id, file=("thrust.html", PAGE))
    assert page.status == "completed", page
    batch = stores.file_batches.upload_and_poll(
        store.id, files=[("drag.txt", DRAG), ("more.txt", b"Weight is drawn down by gravity.")]
    )
    assert batch.status == "completed", batch
    counts = batch.file_counts
    assert (counts.completed, counts.failed, counts.total) == (2, 0, 2), batch
    ids = sorted(one.id for one in stores.files.list(store.id))
    in_batch = stores.file_batches.list_files(batch.id, vector_store_id=store.id, limit=1, order="asc")
    assert [one.id for one in in_batch] == ids[2:], (ids, in_batch)
    forward = stores.files.list(store.id, order="asc", limit=2)
    assert ([one.id for one in forward.data], forward.has_more) == (ids[:2], True), forward
    back = stores.files.list(store.id, order="asc", before=ids[3], limit=2)
    assert ([one.id for one in back.data], back.has_more) == (ids[1:3], True), back
    between = stores.files.list(store.id, after=ids[3], before=ids[0])
    assert [one.id for one in between.data] == [ids[2], ids[1]], between
    store = stores.retrieve(store.id)
    assert store.usage_bytes == sum(one.usage_bytes for one in stores.files.list(store.id)) > 200, store
    assert store.status == "completed" and store.file_counts.completed == 4, store
    listed = {one.id for one in stores.files.list(store.id, limit=2)}
    assert len(listed) == 4 and {file.id, page.id} <= listed, listed
    assert [one.id for one in stores.list(limit=1)] == [store.id, "vs_default"]
    assert [one.id for one in stores.list(order="asc")] == ["vs_default", store.id]
    renamed = stores.update(store.id, name="Papers")
    assert (renamed.name, renamed.metadata) == ("Papers", {"team": "wing"}), renamed
    fails(openai.NotFoundError, "unknown_file", None,
          lambda: stores.files.create(store.id, file_id="file-none"))
    fails(openai.NotFoundError, "unknown_vector_store", None, lambda: stores.retrieve("vs_none"))
    return store, page


def searched(store, file):
    found = stores.search(store.id, query="What holds an aircraft in the air?", max_num_results=2)
    best = found.data[0]
    assert (best.file_id, best.filename) == (file.id, "lift.md"), found
    assert "holds an aircraft" in best.content[0].text and best.score > 0, best
    changed = stores.files.update(file.id, vector_store_id=store.id, attributes={"year": 1958, "kind": "paper"})
    assert changed.attributes == {"year": 1958, "kind": "paper"}, changed
    stores.files.poll(file.id, vector_store_id=store.id)
    year = lambda kind, value: {"type": kind, "key": "year", "value": value}
    both = {"type": "and", "filters": [year("gte", 1950), {"type": "eq", "key": "kind", "value": "paper"}]}
    for filters, wanted in ((year("eq", 1958), {file.id}), (year("gt", 1958), set()), (both, {file.id})):
        found = {one.file_id for one in stores.search(store.id, query="aircraft", filters=filters)}
        assert found == wanted, (filters, found)
    strict = stores.search(store.id, query="aircraft", ranking_options={"score_threshold": 1.0})
    assert len(strict.data) <= 4, strict
    content = stores.files.content(file.id, vector_store_id=store.id)
    assert "Lift holds an aircraft in the air." in content.data[0].text, content


def answered(store, file):
    response = client.responses.create(
        model="gpt-4o",
        input="What holds an aircraft in the air?",
        tools=[{"type": "file_search", "vector_store_ids": [store.id]}],
        include=["file_search_call.results"],
    )
    assert "Lift holds an aircraft in the air." in response.output_text, response
    search, message = response.output
    assert search.results[0].filename == "lift.md", search
    assert search.results[0].attributes == {"year": 1958, "kind": "paper"}, search
    annotation = message.content[0].annotations[0]
    assert (annotation.type, annotation.file_id, annotation.filename) == ("file_citation", file.id, "lift.md")


def taken_out(store, file, page):
    gone = stores.files.delete(page.id, vector_store_id=store.id)
    assert gone.deleted and gone.object == "vector_store.file.deleted", gone
    assert client.files.retrieve(page.id).id == page.id, "it stays uploaded"
    assert client.files.delete(file.id).deleted
    fails(openai.NotFoundError, "unknown_file", None,
          lambda: stores.files.retrieve(file.id, vector_store_id=store.id))
    assert stores.delete(store.id).deleted
    fails(openai.NotFoundError, "unknown_vector_store", None, lambda: stores.retrieve(store.id))
    # All may be deleted while they are listed.
    for name in ("a", "b", "a"):
        stores.create(name=name)
    listed = [one.id for one in stores.list(limit=1) if one.id != "vs_default" and stores.delete(one.id).deleted]
    assert len(listed) == 3 and [one.id for one in stores.list()] == ["vs_default"], listed
    # The files of a store may come with it; they are found once it is completed.
    store = stores.create(name="Later", file_ids=[page.id])
    for one in stores.files.list(store.id):
        stores.files.poll(one.id, vector_store_id=store.id)
    assert stores.retrieve(store.id).file_counts.completed == 1


file = files()
store, page = a_store(file)
if hasattr(stores, "search"):
    searched(store, file)
if hasattr(client, "responses") and hasattr(stores, "search"):
    answered(store, file)
taken_out(store, file, page)
print(f"openai {openai.__version__}: ok", file=sys.stderr)
