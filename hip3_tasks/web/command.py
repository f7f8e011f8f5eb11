"""`hip3 page`: the live page alone, for a system that runs elsewhere or starts later."""

import asyncio
import ipaddress
import socket
from types import FrameType

import structlog
import uvicorn

from hip3_tasks.errors import BadSetting, Unavailable
from hip3_tasks.logs import configure_logs
from hip3_tasks.settings import PAGE_PORT, Settings
from hip3_tasks.web.app import Page
from hip3_tasks.web.assets import plotly_script

log = structlog.get_logger()

BACKLOG = 128
SHUTDOWN_TIMEOUT_S = 1
"""Short, since an event stream never ends by itself."""


def page_command(chosen: Settings) -> int:
    """Serve until a signal to stop. Raises BadSetting or Unavailable."""
    configure_logs(chosen.log_level)
    if not chosen.page_password and not is_loopback(chosen.page_host):
        raise BadSetting(f"HIP3_PAGE_PASSWORD: expected one, for {chosen.page_host} can be reached from elsewhere")
    if chosen.data_dir.exists() and not chosen.data_dir.is_dir():
        raise Unavailable(f"{chosen.data_dir}: not a directory; choose another --data-dir")
    plotly_script()
    listener = _listen(chosen.page_host, chosen.page_port)
    if not chosen.data_dir.exists():
        log.warning(
            "no_data_dir",
            data_dir=str(chosen.data_dir),
            why="it does not exist yet; the page shows its files as soon as it does",
        )
    host, port = listener.getsockname()[:2]
    print(f"http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    asyncio.run(_Server(Page(chosen)).serve(sockets=[listener]))
    return 0


class _Server(uvicorn.Server):
    """A uvicorn server that closes the event streams before it waits for connections."""

    def __init__(self, page: Page) -> None:
        config = uvicorn.Config(
            page.app(),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        )
        super().__init__(config)
        self._page = page

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Uvicorn's own handler raises the signal again, and an orderly end would look like a crash.
        self._page.broadcast.close()
        self.should_exit, self.force_exit = True, self.should_exit


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    """Listen on the port; for port 0 on the usual one, or else any. Raises Unavailable."""
    for candidate in (port,) if port else (PAGE_PORT, 0):
        try:
            family = socket.getaddrinfo(host, candidate, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((host, candidate), family=family, backlog=BACKLOG)
        except OSError as error:
            fault = error
    raise Unavailable(f"the page cannot listen on {host}:{port or PAGE_PORT}: {fault.strerror or fault}")
