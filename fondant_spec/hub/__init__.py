"""Publishing an export on the Hugging Face hub: planning the upload, and sending it.

`push` is a command and not a component: any runner may repeat, resume or take a step from the
cache, which must not change anything outside. An upload is started by a person who has seen what
would be sent.
"""
