"""The feed daemon: from websocket frames to the tape, the signals and their tasks."""
