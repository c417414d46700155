"""Finding the images nearest to a vector, in an index on disk or from a service.

`search` reads an index, `build` makes and checks one, `hub` fetches one from the Hugging Face hub,
and `service` speaks the protocol of clip-retrieval, as client and as server.
"""
