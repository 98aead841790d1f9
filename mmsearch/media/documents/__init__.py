"""Office documents, e-books and mails, in parts with a place each: slides, sheets, chapters, sections, attachments.

They are read here rather than by python-docx, python-pptx, openpyxl and odfpy. Those build a tree of the whole file in
memory before they can be told to stop, leave out text in boxes, content controls, tracked insertions, SmartArt and
charts, and odfpy offers its users the GPL. What a search needs of these formats is words and pictures in their order:
ZIP and XML, of which the standard library has readers that can be stopped at any byte. So no package has to be
installed for them. Only Outlook's .msg is no ZIP: python-oxmsg (MIT), the extra `office`, reads it.

Nothing is run, looked up or drawn: macros, scripts, formulas, links and embedded programs are not even read.

| module | what |
|---|---|
| formats | which of these a file is, opened |
| parts | what all of them are made of |
| archive, xml | ZIP and XML from strangers, bounded |
| packages | what Microsoft's formats share: relations, properties |
| flow, word, slides, sheets | DOCX, PPTX, XLSX |
| opendocument | ODT, ODP, ODS, ODG |
| books | EPUB |
| mail, mime, outlook | EML, MSG |
| facts | title, author, dates |
| album | pictures inside documents |
"""
