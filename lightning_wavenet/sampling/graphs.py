class GraphSession: pass
