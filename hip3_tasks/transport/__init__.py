"""A Redis transport for kombu and Celery that neither loses nor doubles messages. It knows nothing of markets."""

from typing import Any

STOCK_AMQP, AMQP = "celery.app.amqp:AMQP", "hip3_tasks.transport.connection:BrokerAMQP"


def enable(app: Any) -> None:
    """Let a Celery app consume through this transport; other apps of the process keep kombu's own.

    Nothing is imported or opened before the app's first connection. Raises ValueError for an app with an AMQP class of
    its own.
    """
    if app.amqp_cls not in (STOCK_AMQP, AMQP):
        raise ValueError(f"the app has an AMQP class of its own, {app.amqp_cls}; let it inherit {AMQP}")
    app.amqp_cls = AMQP
    vars(app).pop("amqp", None)
