"""The addons, one class a file, in the order of `neurolink_mitm/stack.py`.

They are thin: a hook guards, asks `core`, applies. They don't import one another; what they share of a request is the
`Exchange` of the flow (`dataplane/hooks.py`), and what they share of the world is the `Runtime`.

Which addons have which hook, in order:

    requestheaders         trace · gate · console
    request                local_api · openai_request · embeddings · route · console · capture
    attempt                hold · rotate · refresh · sanitize_history · map_model · shape · translate · inject · console
    attempt_failed         failover · persist_state · console · capture · journal
    hold                   hold · console
    responseheaders        trace · hold · sanitize_history · shape · openai_response · failover · persist_state
                           · console · capture
    response_complete      openai_response
    response, error        hold · shape · failover · usage · notices · capture · telemetry · journal

The body of a request is read only if `gate` has admitted its head. `attempt` comes before each try upstream;
`attempt_failed` after a try of which the client has seen nothing.
"""
