"""A host that speaks HTTP/2 over TLS, and resets a stream when asked to."""

import asyncio
import threading

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded
from h2.exceptions import ProtocolError

from tests.image_toolkit.crawl.fault_host import jpeg


class Http2Host:
    """Serves `/ok...`, `/reset` (the stream) and `/goaway-once` on 127.0.0.1."""

    def __init__(self, ssl_context):
        ssl_context.set_alpn_protocols(["h2"])
        self.connections = 0
        self.requests = []
        self._ssl = ssl_context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._ssl)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.url = f"https://localhost:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_):
        async def close():
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader, writer):
        self.connections += 1
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        paths = {}
        try:
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, RequestReceived):
                        paths[event.stream_id] = dict(event.headers)[":path"]
                    elif isinstance(event, StreamEnded):
                        await asyncio.sleep(0.02)  # so that streams overlap
                        self._answer(connection, event.stream_id, paths[event.stream_id])
                writer.write(connection.data_to_send())
        except (ConnectionError, ProtocolError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _answer(self, connection, stream, path):
        self.requests.append(path)
        body = jpeg()
        length = str(len(body))
        if path.startswith("/status"):
            connection.send_headers(stream, [(":status", "404")], end_stream=True)
            return
        connection.send_headers(stream, [(":status", "200"), ("content-length", length)])
        if path == "/reset":
            connection.send_data(stream, body[:100])
            connection.reset_stream(stream, error_code=2)
        elif path == "/goaway-once" and self.requests.count(path) == 1:
            connection.close_connection(error_code=2)
        else:
            connection.send_data(stream, body, end_stream=True)
