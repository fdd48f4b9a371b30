"""Board tops and host links (nothing here yet; the folder's place in the namespace is kept)."""
