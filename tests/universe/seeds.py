"""Every seed that failed for a fault of the product, with its reason. They are run before any other.

A change of the tool may give a seed another course; it stays here, since it costs a tenth of a second.
"""

ONCE_FAILED = {
    6: "0.1.0: a feed died before it synced a signal whose state was on the tape; the signal was lost",
    38: "0.1.0: a dead feed's last call was executed after its successor had read the watermark",
    79: "0.1.0: two feeds died one after the other, and the calls of both were executed late",
    162: "two oracles in one millisecond: a feed that starts again took the second for spent",
    219: "a line that was written and not synced was relied on by the next feed; a power cut took it",
    27: "the wall clock went back while the tape was lost: an oracle of the future stopped a worker",
    1897: "the server lost the call that added captures, and the watermark, which stood still, did not show it",
    22933: "the server was set back, and then a dead feed's call raised its watermark over a gap of the living one",
    2003626: "on a full disk no tail was repaired, and nothing synced; a power cut took a line that was relied on",
    2000649: "a line whose newline a full disk refused stayed torn at the end of its file",
    2004685: "a server was set back and counted as many calls again, which hid the loss of captures",
    2431: "a feed that started on an empty server took an older tape, which came back, for complete",
    322: "a line of which a power cut left the beginning and zeros kept its capture from being published again",
    1967: "the same, in another file",
    18: "the name of a file was never synced when its creator had died before it could; a power cut took the file",
    61: "a feed that started on a full disk took a line without its newline for torn; the signal was written twice",
    1021817: "the same, but the state was not on the tape: the captures of the signal were never published",
    1022961: "the same",
    1023091: "the same",
    7301431: "a server was set back to a time at which it had counted as many calls; the captures since were lost",
    9007167: "a feed relied on a line of the feed before that the disk had refused to sync; a power cut took it",
    7300024: "a feed detected the signals of the feed before again under its own rules",
    7301144: "rules that a full disk refused at the start were never written down",
    7300616: "rules that began at the same instant as forgotten ones were sorted behind them",
}
