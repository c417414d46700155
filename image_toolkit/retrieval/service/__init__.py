"""The protocol of clip-retrieval's service: asking one, and being one."""
