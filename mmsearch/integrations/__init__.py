"""mmsearch inside other people's programs: each module needs an extra of its own, and nothing of the core imports one.

| module | extra | what it is |
|---|---|---|
| `mcp` | `mcp` | a server of the Model Context Protocol, for assistants |
| `langchain` | `langchain` | a retriever for LangChain |
| `llama_index` | `llama-index` | a retriever for LlamaIndex |
| `datasets` | `datasets` | takes in a data set of Hugging Face, or a folder of webdataset shards |
| `llm` | `llm` | embedding models for the program `llm` |

They call `Library`, and `Library` alone.
"""
