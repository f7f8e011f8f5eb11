"""Connections of one app through this transport, by the schemes of its URL; kombu's table of transports stays as it is.

The URL keeps its scheme, so that rediss:// keeps its TLS and the logs show the URL.
"""

from typing import Any

from celery.app import amqp
from kombu.connection import Connection

from hip3_tasks.transport.channel import NotSupported, SentinelTransport, Transport

TRANSPORTS = {"redis": Transport, "rediss": Transport, "sentinel": SentinelTransport}


class BrokerConnection(Connection):
    def get_transport_cls(self) -> Any:
        """The transport of the URL's scheme. Raises NotSupported for another broker than Redis."""
        try:
            return TRANSPORTS[self.transport_cls]
        except KeyError:
            raise NotSupported(
                f"broker {self.transport_cls}: this transport serves {', '.join(TRANSPORTS)}; "
                "do not enable it for an app with another broker"
            ) from None


class BrokerAMQP(amqp.AMQP):
    Connection = BrokerConnection
