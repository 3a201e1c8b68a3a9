"""The addons, one class a file, in the order of `neurolink_mitm/stack.py`.

They are thin: a hook guards, asks `core`, applies. They know nothing of one another; what they share of a request is
the `Exchange` in the flow (`mitm/hooks.py`), and what they share of the world is the `Runtime`.

    requestheaders   trace · gate                       the body is read only if the gate has admitted it
    request          local_api · route
    attempt          rotate · refresh · mend · inject   before each try upstream
    attempt_failed   failover · remember · journal      nothing of it reached the client
    responseheaders  failover · trace                   the client's answer begins
    response, error  usage · journal                    it is over
"""
