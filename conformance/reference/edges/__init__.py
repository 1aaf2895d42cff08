"""The edges of the reference: everything that does input or output. They decide nothing.

Data goes one way: `informer` -> `store` -> (`deciding`, in the core) -> `writing`; `webhooks` answer from the store.
`running` puts the parts together, and is the only module that knows all of them.
"""
