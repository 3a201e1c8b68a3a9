"""The composition root: builds a proxy of its parts and runs it, by itself or inside mitmproxy's own programs.

`run` is `neurolink proxy start` with and without `--inspect`; `script` is `mitmdump -s` and `mitmweb -s`. For both,
`wiring` builds the runtime and `lifecycle` lists the components that start and stop. `background` has the tasks beside
requests, and `state_publisher` writes the state file.
"""

from neurolink_mitm.app.run import serve as serve
from neurolink_mitm.app.script import MitmScript as MitmScript
