"""The process that row 9 stops and kills: a consumer that receives and never acknowledges."""

import sys

import kombu


def main(url: str, queue: str, transport: str) -> None:
    options = {"unacked_key": f"{queue}:unacked", "unacked_index_key": f"{queue}:unacked_index", "priority_steps": [0]}
    with kombu.Connection(url, transport=transport, transport_options=options) as connection:
        queues = [kombu.Queue(queue, exchange=kombu.Exchange(""))]
        receive = connection.Consumer(queues, on_message=lambda message: None, accept=["json"], auto_declare=False)
        with receive:
            print("waits", flush=True)
            while True:
                connection.drain_events()


if __name__ == "__main__":
    main(*sys.argv[1:])
