"""Publishing an export on the Hugging Face hub: what would go there, and sending it.

`push` is a command and no component: a step may be repeated, resumed or taken from the cache by any
runner, and what it does to the world outside must then be the same. An upload is asked for by a
person, who has seen what would be sent.
"""
