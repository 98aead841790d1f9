"""Office documents, e-books and mails: made files, what is found in them where, and what strangers may send."""
