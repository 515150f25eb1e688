// What a DataFrame computes, as text that is the same in every JVM: its analysed plan, with the
// ids of expressions numbered as they come, and of each file that it reads path, size and time.
// _plan.py has Spark's own compiler (Janino: no generics, no lambdas) make this a class.
//
// Nodes are case classes, and their constructors' arguments say all that they are. Those are
// written as far as this class knows how. What it does not know, as functions and data that live
// in this JVM alone, is written as the number of that very object, and is a doubt:
//   "session": the text names the same rows in this JVM only;
//   "never": other rows come of each run.
// Of a table of ours it gives the options: what that table is, Headrace knows itself.

import java.lang.ref.ReferenceQueue;
import java.lang.ref.WeakReference;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.spark.sql.catalyst.expressions.Alias;
import org.apache.spark.sql.catalyst.expressions.AttributeReference;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.expressions.NamedLambdaVariable;
import org.apache.spark.sql.catalyst.expressions.ScalaUDF;
import org.apache.spark.sql.catalyst.expressions.objects.Invoke;
import org.apache.spark.sql.catalyst.expressions.objects.StaticInvoke;
import org.apache.spark.sql.catalyst.plans.logical.CTERelationDef;
import org.apache.spark.sql.catalyst.plans.logical.CTERelationRef;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Sample;
import org.apache.spark.sql.catalyst.plans.logical.SubqueryAlias;
import org.apache.spark.sql.catalyst.plans.logical.View;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import org.apache.spark.sql.execution.QueryExecution;
import org.apache.spark.sql.execution.columnar.InMemoryRelation;
import org.apache.spark.sql.execution.datasources.CatalogFileIndex;
import org.apache.spark.sql.execution.datasources.FileIndex;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.execution.datasources.LogicalRelation;
import org.apache.spark.sql.execution.datasources.PartitioningAwareFileIndex;
import org.apache.spark.sql.execution.datasources.v2.DataSourceV2Relation;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.internal.SessionState;
import org.apache.spark.sql.types.DataType;
import scala.Option;
import scala.Product;

public class PlanText implements Function {
  private static final String CATALYST = "org.apache.spark.sql.catalyst.";
  private static final String PYTHON_TABLE =
      "org.apache.spark.sql.execution.datasources.v2.python.PythonTable";
  private static final String LOGICAL = CATALYST + "plans.logical.";

  // Operators whose rows follow from their arguments and their children's rows.
  private static final Set OPERATORS = new HashSet(Arrays.asList(new String[] {
    "Aggregate", "AsOfJoin", "CTERelationDef", "CTERelationRef", "Deduplicate", "Distinct",
    "Except", "Expand", "Filter", "Generate", "GlobalLimit", "Intersect", "Join",
    "LateralJoin", "LocalLimit", "Offset", "OneRowRelation", "Pivot", "Project", "Range",
    "RebalancePartitions", "Repartition", "RepartitionByExpression", "ResolvedHint", "Sort",
    "Tail", "Union", "Unpivot", "Window", "WithCTE"}));

  // Expressions that look outside of the plan: at a clock, a session, or code that is not Spark's.
  private static final Set OUTSIDE = new HashSet(Arrays.asList(new String[] {
    "CallMethodViaReflection", "CurrentCatalog", "CurrentDatabase", "CurrentDate", "CurrentPath",
    "CurrentTime", "CurrentTimeZone", "CurrentTimestamp", "CurrentTimestampLike", "CurrentUser",
    "LocalTimestamp", "Now", "PythonUDAF", "PythonUDF", "PythonUDTF", "ScalaAggregator",
    "ScalaUDAF", "ScalaUDF", "SessionUser", "SparkVersion", "TryReflect",
    "UnresolvedPolymorphicPythonUDTF"}));

  // Random, but repeatable where the rows of a partition are, given the seed.
  private static final Set SEEDED = new HashSet(Arrays.asList(new String[] {
    "Rand", "Randn"}));

  // Settings that change no value. Others, known or not, are part of the text.
  private static final String[] NEUTRAL = {
    "spark.sql.adaptive.", "spark.sql.ansi.enabled", "spark.sql.artifact.",
    "spark.sql.autoBroadcastJoinThreshold", "spark.sql.caseSensitive",
    "spark.sql.catalogImplementation", "spark.sql.execution.", "spark.sql.files.max",
    "spark.sql.files.minPartitionNum", "spark.sql.files.openCostInBytes",
    "spark.sql.repl.", "spark.sql.session.timeZone", "spark.sql.shuffle.partitions",
    "spark.sql.streaming.", "spark.sql.ui.", "spark.sql.warehouse.dir"};

  private final Map numbers = new HashMap();
  private final ReferenceQueue gone = new ReferenceQueue();
  private long next = 0;

  private SessionState session;
  private StringBuilder text;
  private Map ids;
  private Set doubts;

  // Takes a QueryExecution; gives the text's SHA-256 and, by line, doubts as "scope<TAB>reason",
  // and tables of ours as "table<TAB>option<TAB>value<TAB>option<TAB>value".
  public synchronized Object apply(Object execution) {
    QueryExecution query = (QueryExecution) execution;
    session = query.sparkSession().sessionState();
    text = new StringBuilder();
    ids = new HashMap();
    doubts = new HashSet();
    value(query.analyzed());
    if (!query.analyzed().isStreaming()) cached(query.withCachedData());
    value(query.analyzed().schema());
    settings();
    word("version", query.sparkSession().version());
    List lines = new ArrayList(doubts);
    Collections.sort(lines);
    lines.add(0, sha256(text.toString()));
    text = null;
    return String.join("\n", lines);
  }

  // What was set for SQL, other than where and how fast it runs.
  private void settings() {
    SQLConf conf = session.conf();
    word("timezone", conf.sessionLocalTimeZone());
    word("ansi", Boolean.toString(conf.ansiEnabled()));
    word("case", Boolean.toString(conf.caseSensitiveAnalysis()));
    List set = new ArrayList();
    scala.collection.Iterator it = conf.getAllConfs().iterator();
    while (it.hasNext()) {
      scala.Tuple2 entry = (scala.Tuple2) it.next();
      String key = (String) entry._1();
      boolean neutral = !key.startsWith("spark.sql.");
      for (int i = 0; i < NEUTRAL.length; ++i) neutral |= key.startsWith(NEUTRAL[i]);
      if (!neutral) set.add(key + "=" + entry._2());
    }
    words("set", set);
  }

  private void doubt(String scope, String reason) {
    doubts.add(scope + "\t" + reason.replace('\n', ' '));
  }

  private void value(Object o) {
    if (o == null) {
      text.append("null;");
    } else if (o instanceof LogicalPlan) {
      plan((LogicalPlan) o);
    } else if (o instanceof Expression) {
      expression((Expression) o);
    } else if (o instanceof DataType) {
      // json() alone leaves out a string's collation, sql() alone a field's metadata.
      word("type", ((DataType) o).json() + ((DataType) o).sql());
    } else if (o instanceof org.apache.spark.sql.catalyst.expressions.ExprId) {
      word("id", number("expression " + o));
    } else if (o instanceof Option) {
      text.append("option(");
      if (((Option) o).isDefined()) value(((Option) o).get());
      text.append(")");
    } else if (o instanceof scala.collection.immutable.Seq) {
      text.append("seq(");
      elements(((scala.collection.immutable.Seq) o).iterator());
      text.append(")");
    } else if (o instanceof scala.collection.immutable.Map) {
      map((scala.collection.immutable.Map) o);
    } else if (o instanceof byte[]) {
      word("bytes", new BigInteger(1, (byte[]) o).toString(16) + " " + ((byte[]) o).length);
    } else if (plain(o)) {
      word(o.getClass().getName(), o.toString());
    } else if (o.getClass().getName().endsWith("$")) {
      word("object", o.getClass().getName());
    } else if (o instanceof Product && o.getClass().getName().startsWith(CATALYST)) {
      product((Product) o);
    } else {
      object(o, "holds a " + o.getClass().getName() + ", which this JVM alone knows");
    }
  }

  private void map(scala.collection.immutable.Map map) {
    List entries = new ArrayList();
    scala.collection.Iterator it = map.iterator();
    while (it.hasNext()) {
      scala.Tuple2 entry = (scala.Tuple2) it.next();
      if (!plain(entry._1()) || !plain(entry._2())) {
        object(map, "holds a map, which this JVM alone knows");
        return;
      }
      String key = entry._1().toString();
      entries.add(key.length() + ":" + key + entry._2().getClass().getName() + entry._2());
    }
    words("entry", entries);
  }

  // Whether toString says all that a value is.
  private static boolean plain(Object o) {
    return o instanceof String || o instanceof Number || o instanceof Boolean
        || o instanceof scala.Enumeration.Value
        || o instanceof org.apache.spark.unsafe.types.UTF8String
        || o instanceof org.apache.spark.unsafe.types.CalendarInterval
        || o instanceof org.apache.spark.sql.types.Decimal
        || o instanceof java.util.UUID;
  }

  private void plan(LogicalPlan node) {
    if (node instanceof SubqueryAlias) { // names for the analyser, which is done
      value(((SubqueryAlias) node).child());
      return;
    }
    if (node instanceof View) { // likewise
      value(((View) node).child());
      return;
    }
    String name = node.getClass().getSimpleName();
    if (node.isStreaming()) doubt("never", "it is a stream");
    if (node instanceof LogicalRelation
        && ((LogicalRelation) node).relation() instanceof HadoopFsRelation) {
      text.append("files(");
      files((HadoopFsRelation) ((LogicalRelation) node).relation());
      value(((LogicalRelation) node).output());
      text.append(")");
      return;
    }
    if (node instanceof DataSourceV2Relation && ours((DataSourceV2Relation) node)) return;
    if (node instanceof Sample) {
      Object seed = node.productElement(3); // an Option since Spark 4.3
      if (seed instanceof Option) seed = ((Option) seed).isDefined() ? ((Option) seed).get() : null;
      if (seed instanceof Long) {
        seeded("a sample", ((Long) seed).longValue());
      } else {
        unseeded("a sample");
      }
    } else if (!node.getClass().getName().equals(LOGICAL + name) || !OPERATORS.contains(name)) {
      doubt("session", "it has a " + name + ", whose rows no other session is known to see");
    }
    product(node);
  }

  // A table of ours, of one version. What is not pinned, Spark pins when it first reads it.
  private boolean ours(DataSourceV2Relation relation) {
    Map options = relation.options().asCaseSensitiveMap();
    if (!relation.table().getClass().getName().equals(PYTHON_TABLE)
        || !relation.table().name().equals("headrace")
        || !relation.options().containsKey("version")) {
      return false;
    }
    List words = new ArrayList();
    for (Object one : options.entrySet()) {
      Map.Entry entry = (Map.Entry) one;
      words.add(entry.getKey().toString().toLowerCase() + "\t" + entry.getValue());
    }
    text.append("table(");
    words("option", words);
    value(relation.output());
    text.append(")");
    doubts.add("table\t" + String.join("\t", words));
    return true;
  }

  private void expression(Expression e) {
    if (e instanceof AttributeReference) { // its qualifier is the analyser's
      text.append("attribute(");
      value(((AttributeReference) e).name());
      value(e.dataType());
      value(((AttributeReference) e).exprId());
      text.append(")");
      return;
    }
    if (e instanceof Alias) {
      text.append("alias(");
      value(((Alias) e).child());
      value(((Alias) e).name());
      value(((Alias) e).exprId());
      text.append(")");
      return;
    }
    if (e instanceof NamedLambdaVariable) { // its name has a counter of the JVM's in it
      text.append("variable(");
      value(e.dataType());
      value(((NamedLambdaVariable) e).exprId());
      text.append(")");
      return;
    }
    String name = e.getClass().getSimpleName();
    String shown = e.prettyName().toLowerCase() + "()";
    if (!e.getClass().getName().startsWith(CATALYST + "expressions.")) {
      doubt("session", "it calls " + e.getClass().getName() + ", which is not Spark's own");
    } else if (OUTSIDE.contains(name)) {
      boolean code = name.indexOf("UD") >= 0 || name.equals("ScalaAggregator");
      doubt("session", code ? "it calls a user's function, " + e.toString()
                            : "it calls " + shown + ", which looks outside of the plan");
    }
    if (origin(e)) random(e, name, shown);
    if (e instanceof StaticInvoke) called(((StaticInvoke) e).staticObject());
    if (e instanceof Invoke) called(((Invoke) e).targetObject().getClass());
    product((Product) e);
  }

  // Whether it is this expression that is not deterministic, rather than one below it.
  private static boolean origin(Expression e) {
    if (e.deterministic() || e instanceof org.apache.spark.sql.catalyst.expressions.PlanExpression) {
      return false;
    }
    scala.collection.Iterator children = e.children().iterator();
    while (children.hasNext()) {
      if (!((Expression) children.next()).deterministic()) return false;
    }
    return true;
  }

  private void random(Expression e, String name, String shown) {
    if (e.getClass().getName().startsWith(CATALYST + "expressions.aggregate.")) {
      return; // first(), collect_list(): any order of rows gives a right answer
    }
    if (name.equals("InputFileName")) return; // follows from the files
    Object seed = SEEDED.contains(name) && e.children().head() instanceof Literal
        ? ((Literal) e.children().head()).value() : null;
    boolean given = seed instanceof Number && e.toString().indexOf(seed.toString()) >= 0;
    if (given) {
      seeded(shown, ((Number) seed).longValue());
    } else if (SEEDED.contains(name)) {
      unseeded(shown);
    } else if (e instanceof ScalaUDF
        && ((ScalaUDF) e).function().getClass().getName().startsWith("org.apache.spark.ml.")) {
      return; // Spark's own, which says so only lest it is called twice
    } else if (OUTSIDE.contains(name)) {
      doubt("never", "it calls a user's function that is not deterministic, " + e.toString());
    } else {
      doubt("never", "it calls " + shown + ", which gives other values at each run");
    }
  }

  // A seed that Spark draws where none is given is of 64 bits.
  private void seeded(String what, long seed) {
    if (seed >> 32 == 0 || seed >> 32 == -1) {
      doubt("session", "it has " + what + " with a seed, which depends on how rows are parted");
    } else {
      unseeded(what);
    }
  }

  private void unseeded(String what) {
    doubt("never", "it has " + what + " without a seed, which gives others at each run");
  }

  private void called(Class code) {
    String name = code.getName();
    if (!name.startsWith("org.apache.spark.") && !name.startsWith("java.")) {
      doubt("session", "it calls " + name + ", which is not Spark's own");
    }
  }

  private void product(Product node) {
    text.append(node.getClass().getName()).append("(");
    boolean cte = node instanceof CTERelationDef || node instanceof CTERelationRef;
    Object own = node instanceof CTERelationDef ? (Object) ((CTERelationDef) node).id()
        : cte ? (Object) ((CTERelationRef) node).cteId() : null;
    for (int i = 0; i < node.productArity(); ++i) {
      Object element = node.productElement(i);
      if (cte && element instanceof Long && element.equals(own)) {
        word("id", number("cte " + own)); // counted by the JVM
        own = null;
      } else {
        value(element);
      }
    }
    if (node instanceof TreeNode) elements(((TreeNode) node).otherCopyArgs().iterator());
    text.append(")");
  }

  private void elements(scala.collection.Iterator it) {
    while (it.hasNext()) value(it.next());
  }

  private void word(String kind, String word) {
    text.append(kind).append(':').append(word.length()).append(':').append(word).append(';');
  }

  private void words(String kind, List words) {
    Collections.sort(words);
    word(kind, Integer.toString(words.size()));
    for (Object one : words) word(kind, (String) one);
  }

  private String number(String id) {
    Object known = ids.get(id);
    if (known == null) {
      known = Integer.toString(ids.size());
      ids.put(id, known);
    }
    return (String) known;
  }

  // Data and code: the same object, the same number, while this JVM lives. None is kept alive.
  private void object(Object o, String reason) {
    if (o instanceof org.apache.spark.sql.SparkSession) return;
    doubt("session", "it " + reason);
    for (Object one = gone.poll(); one != null; one = gone.poll()) numbers.remove(one);
    Identity identity = new Identity(o, gone);
    Object known = numbers.get(identity);
    if (known == null) {
      known = Long.toString(next++);
      numbers.put(identity, known);
    }
    word("object", (String) known);
  }

  public static class Identity extends WeakReference {
    private final int hash;

    public Identity(Object o, ReferenceQueue queue) {
      super(o, queue);
      hash = System.identityHashCode(o);
    }

    public int hashCode() {
      return hash;
    }

    public boolean equals(Object other) {
      if (this == other) return true;
      Object mine = get();
      return mine != null && other instanceof Identity && ((Identity) other).get() == mine;
    }
  }

  // Rows that are cached may be older than the files that they came of.
  private void cached(LogicalPlan plan) {
    scala.collection.Iterator leaves = plan.collectLeaves().iterator();
    while (leaves.hasNext()) {
      Object leaf = leaves.next();
      if (leaf instanceof InMemoryRelation) {
        object(((InMemoryRelation) leaf).cacheBuilder(), "reads rows that are cached");
      }
    }
    scala.collection.Iterator inner = plan.subqueriesAll().iterator();
    while (inner.hasNext()) {
      LogicalPlan subquery = (LogicalPlan) inner.next();
      if (subquery != plan) cached(subquery);
    }
  }

  private void files(HadoopFsRelation relation) {
    String format = relation.fileFormat().getClass().getName();
    word("format", format);
    if (!format.startsWith("org.apache.spark.sql.")) {
      doubt("session", "it reads files by " + format + ", which is not Spark's own");
    }
    value(relation.partitionSchema());
    value(relation.dataSchema());
    List options = new ArrayList();
    scala.collection.Iterator it = relation.options().iterator();
    while (it.hasNext()) {
      scala.Tuple2 option = (scala.Tuple2) it.next();
      String key = option._1().toString().toLowerCase();
      if (!key.equals("path") && !key.equals("paths")) options.add(key + "=" + option._2());
    }
    words("option", options);
    FileIndex index = relation.location();
    if (index instanceof CatalogFileIndex) {
      index = ((CatalogFileIndex) index).filterPartitions(
          (scala.collection.immutable.Seq) scala.collection.immutable.Nil$.MODULE$);
    }
    if (!(index instanceof PartitioningAwareFileIndex)) {
      object(index, "lists its files by " + index.getClass().getName());
      return;
    }
    try {
      word("files", statuses((PartitioningAwareFileIndex) index, relation.options()));
    } catch (java.io.IOException error) {
      object(index, "reads files that cannot be listed (" + error + ")");
    }
  }

  // A DataFrame keeps the listing it was made with: what its files are now is asked again.
  private String statuses(
      PartitioningAwareFileIndex index, scala.collection.immutable.Map options)
      throws java.io.IOException {
    Configuration conf = session.newHadoopConfWithOptions(options);
    Set listed = new HashSet();
    Set folders = new HashSet();
    scala.collection.Iterator files = index.allFiles().iterator();
    while (files.hasNext()) {
      Path path = ((FileStatus) files.next()).getPath();
      listed.add(path);
      folders.add(path.getParent());
    }
    Set roots = new HashSet();
    scala.collection.Iterator given = index.rootPaths().iterator();
    boolean far = false;
    while (given.hasNext()) {
      Path root = (Path) given.next();
      roots.add(root);
      far |= !(root.getFileSystem(conf) instanceof LocalFileSystem);
    }
    List lines = new ArrayList();
    if (far && roots.size() < folders.size()) { // a tree at once rather than a request a folder
      for (Object root : roots) {
        FileSystem system = ((Path) root).getFileSystem(conf);
        RemoteIterator found = system.listFiles((Path) root, true);
        while (found.hasNext()) line(lines, listed, (LocatedFileStatus) found.next());
      }
    } else { // on local disk listFiles would start a process for the owner of each file
      for (Object folder : folders) {
        FileStatus[] found = ((Path) folder).getFileSystem(conf).listStatus((Path) folder);
        for (int i = 0; i < found.length; ++i) line(lines, listed, found[i]);
      }
    }
    for (Object path : listed) lines.add(path + "\tgone");
    Collections.sort(lines);
    return sha256(String.join("\n", lines));
  }

  private static void line(List lines, Set listed, FileStatus file) {
    if (!listed.remove(file.getPath())) return;
    lines.add(file.getPath() + "\t" + file.getLen() + "\t" + file.getModificationTime());
  }

  private static String sha256(String text) {
    try {
      byte[] sum = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
      return String.format("%064x", new Object[] {new BigInteger(1, sum)});
    } catch (java.security.NoSuchAlgorithmException error) {
      throw new IllegalStateException(error);
    }
  }
}
