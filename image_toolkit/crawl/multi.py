"""libcurl on an asyncio event loop: one connection pool, HTTP/1.1 and HTTP/2."""

import asyncio
from typing import Final

import pycurl

_IDLE_CONNECTIONS: Final = 256


class Multi:
    """Performs curl handles on the running event loop, with a shared connection pool."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._watched: dict[int, int] = {}
        self._running: dict[pycurl.Curl, asyncio.Future[None]] = {}
        self._curl = pycurl.CurlMulti()
        self._curl.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._curl.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._curl.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._curl.setopt(pycurl.M_MAXCONNECTS, _IDLE_CONNECTIONS)

    async def perform(self, handle: pycurl.Curl) -> None:
        """Run one transfer to its end; cancelling closes its connection.

        Raises:
            pycurl.error: with libcurl's error code and message.
        """
        future = self._loop.create_future()
        self._running[handle] = future
        self._curl.add_handle(handle)
        try:
            await future
        finally:
            if self._running.pop(handle, None) is not None:
                self._curl.remove_handle(handle)

    def close(self) -> None:
        """Close all connections. No transfer may be running."""
        if self._timer is not None:
            self._timer.cancel()
        self._curl.close()
        for descriptor in list(self._watched):
            self._set_watch(descriptor, 0)

    def _watch(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        self._set_watch(descriptor, 0 if what == pycurl.POLL_REMOVE else what)

    def _set_watch(self, descriptor: int, wanted: int) -> None:
        changed = self._watched.pop(descriptor, 0) ^ wanted
        if wanted:
            self._watched[descriptor] = wanted
        if changed & pycurl.POLL_IN:
            if wanted & pycurl.POLL_IN:
                self._loop.add_reader(descriptor, self._act, descriptor, pycurl.CSELECT_IN)
            else:
                self._loop.remove_reader(descriptor)
        if changed & pycurl.POLL_OUT:
            if wanted & pycurl.POLL_OUT:
                self._loop.add_writer(descriptor, self._act, descriptor, pycurl.CSELECT_OUT)
            else:
                self._loop.remove_writer(descriptor)

    def _set_timer(self, milliseconds: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if milliseconds >= 0:
            self._timer = self._loop.call_later(milliseconds / 1000, self._time_out)

    def _time_out(self) -> None:
        self._timer = None
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, descriptor: int, events: int) -> None:
        self._curl.socket_action(descriptor, events)
        more = 1
        while more:
            more, done, failed = self._curl.info_read()
            for handle in done:
                self._finish(handle, None)
            for handle, number, message in failed:
                self._finish(handle, pycurl.error(number, message))

    def _finish(self, handle: pycurl.Curl, error: pycurl.error | None) -> None:
        self._curl.remove_handle(handle)
        future = self._running.pop(handle, None)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
