/** An operation's document, and the types of its answer and variables. */
export interface Operation<Data, Variables> {
  readonly document: string;
  readonly name: string;
  /** Never present: it carries the types. */
  readonly types?: (variables: Variables) => Data;
}
