"""What the addons need of mitmproxy, below its public API.

`pool_layer` and `pool_stream` are the data plane: the HTTP layer of one client connection, and one request of it that
may be sent upstream several times; `answer_stream` is the answer to it, `bounded_stream` limits its body and its time.
`aside` is where long work leaves the event loop, which then has `turns` more often.
`front` is the client's side of HTTP/1.1 with our limits, `back` is upstream's; `codings` undoes content codings there.
`hooks` names the two events that the stream adds to mitmproxy's own. `lean` is a mitmproxy with only the addons a proxy
needs, and `default_addons` keeps the others from being imported; `master` makes and runs it, or mitmweb, and
`data_plane` puts our layer into either. Only this package touches mitmproxy's inner API; `compat` says which versions
it fits.
"""
