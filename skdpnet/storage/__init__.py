"""Where arrays are kept: the cache, arrays beyond memory, files written whole."""
