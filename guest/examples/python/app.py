"""A RAG handler: POST a question, get an answer with citations, as events.

The order is in the types: a credential becomes a principal, a principal and a
cost become a permit, and all that touches documents or models takes the permit.
"""

import json

from componentize_py_async_support import spawn
from componentize_py_types import Err, Ok
import wit_world
from wit_world import exports
from wit_world.imports import admission, generation, principals, search
from wit_world.imports.generation import Event_Delta, Event_Done, Event_Quote
from wit_world.imports.search import CitationRequest, Legs, Query
from wit_world.imports.wasi_http_types import Fields, Method_Post, Request, Response

COLLECTION = "default"
SOURCES = 6


class Handler(exports.Handler):
    async def handle(self, request: Request) -> Response:
        headers = dict(request.get_headers().copy_all())
        if not isinstance(request.get_method(), Method_Post):
            return reply(404, "application/json", json.dumps({"title": "POST a question"}))
        try:
            credential = headers.get("authorization", b"").decode().removeprefix("Bearer ")
            principal = await principals.authenticate(credential or None)
            permit = await admission.admit(principal, 4)
        except Err as refused:
            status = 401 if isinstance(refused.value, principals.AuthError) else 429
            return reply(status, "application/json", json.dumps({"title": str(refused.value)}))
        question = json.loads(await body(request))["query"]
        writer, contents = wit_world.byte_stream()
        spawn(answer(permit, question, writer))
        return respond(200, "text/event-stream", contents)


async def answer(permit, question, writer):
    """Writes the answer piece by piece, each quote with its source."""
    with writer:
        try:
            query = Query(COLLECTION, question, Legs.LEXICAL | Legs.VECTOR, 50, None, [], [], [])
            found = await search.find_candidates(permit, query)
            best = sorted(found.items, key=lambda one: -((one.lexical or 0) / 20 + (one.vector or 0)))
            chunks = [one.chunk for one in best[:SOURCES]]
            passages = await search.passages(permit, COLLECTION, chunks)
            wanted = generation.Request("extractive", COLLECTION, question, chunks, [])
            with await generation.generate(permit, wanted) as events:
                while not events.writer_dropped:
                    for event in await events.read(64):
                        await writer.write_all(await encoded(permit, passages, event))
        except Err as error:
            await writer.write_all(event_bytes("error", {"title": str(error.value)}))


async def encoded(permit, passages, event):
    match event:
        case Event_Delta(text):
            return event_bytes("delta", {"text": text})
        case Event_Quote(quoted):
            document = passages[quoted.source].document_id
            request = CitationRequest(document, quoted.span)
            [citation] = await search.cite(permit, COLLECTION, [request])
            return event_bytes("citation", {"document_id": document, "quote": citation.quote})
        case Event_Done(completion):
            return event_bytes("done", {"abstained": completion.abstained})
    return event_bytes("error", {"title": "The generator broke off"})


def event_bytes(name, data):
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


async def body(request):
    done = wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))[1]
    reader, _trailers = Request.consume_body(request, done)
    whole = b""
    with reader:
        while not reader.writer_dropped:
            whole += await reader.read(64 * 1024)
    return whole


def reply(status, media_type, text):
    writer, contents = wit_world.byte_stream()

    async def write():
        with writer:
            await writer.write_all(text.encode())

    spawn(write())
    return respond(status, media_type, contents)


def respond(status, media_type, contents):
    trailers = wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future
    headers = Fields.from_list([("content-type", media_type.encode())])
    response, _sent = Response.new(headers, contents, trailers(lambda: Ok(None))[1])
    response.set_status_code(status)
    return response
