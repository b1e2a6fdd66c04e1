"""Files as the workflow keeps them: written whole, sealed, with a record of their origin."""
